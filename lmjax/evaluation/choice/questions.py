"""Questions with a right answer, read from JSON lines.

A line has one of five shapes:

  {"query": text, "choices": [text, ...], "gold": 0}
  {"context_options": [text, ...], "continuation": text, "gold": 0}
  {"context": text, "continuation": text}
  {"sentence_good": text, "sentence_bad": text}
  {"activity_label": text, "ctx_a": text, "ctx_b": text,
   "endings": [text, ...], "label": 0}

`context` and `query` are synonyms, and so are `gold` and `answer`; the answer
may also be the text of a choice. The third shape has a single option: it asks
whether greedy decoding would give the continuation, as LAMBADA does. The fourth
one is a minimal pair, as in BLiMP: two sentences without context, of which the
first is right. The fifth one is HellaSwag's; see `hellaswag`.
"""
from collections.abc import Mapping
import dataclasses
from typing import Any

from lmjax.core import config
from lmjax.core import errors
from lmjax.data.text import json_lines
from lmjax.evaluation.choice import hellaswag

_FIELDS = ('context', 'query', 'context_options', 'choices', 'continuation',
           'gold', 'answer', 'sentence_good', 'sentence_bad')


@dataclasses.dataclass(frozen=True)
class Item:
  """One question.

  Attributes:
    contexts: The context of each option.
    continuations: The continuation of each option.
    gold: Index of the right option.
    source: Its file and line, as file:line, for messages.
    row: The object of its line, for templates.
  """
  contexts: tuple[str, ...]
  continuations: tuple[str, ...]
  gold: int
  source: str
  row: Mapping[str, Any] = dataclasses.field(
      default_factory=dict, compare=False, repr=False)

  @property
  def content(self) -> Any:
    """The values by which copies of a question are found."""
    return self.row or (self.contexts, self.continuations, self.gold)


def read(path: str, limit: int | None = None) -> list[Item]:
  """Returns the questions of a JSON lines file.

  Raises:
    InputError: If the file cannot be read, a line has none of the five shapes,
      or the file mixes questions of one option with questions of several.
  """
  items = []
  for source, row in json_lines.rows(path):
    if limit is not None and len(items) == limit:
      break
    items.append(dataclasses.replace(_item(row, source), row=row))
  if not items:
    raise errors.InputError(f'{path} has no questions.')
  for item in items:
    if (len(item.contexts) == 1) != (len(items[0].contexts) == 1):
      raise errors.InputError(
          f'{item.source} has {len(item.contexts)} options, but '
          f'{items[0].source} has {len(items[0].contexts)}: put questions of '
          'one option and of several options into separate files.')
  return items


def _item(row: dict[str, Any], source: str) -> Item:
  def texts(value, name):
    if not (isinstance(value, list) and len(value) > 1):
      raise errors.InputError(
          f'{source}: {name} should be a list of at least two texts; got '
          f'{value!r:.60}.')
    return tuple(_text(v, f'{source}: each of {name}') for v in value)

  if 'sentence_good' in row:
    row = {'query': '', 'gold': 0, 'choices': [
        field(row, source, name) for name in ('sentence_good', 'sentence_bad')]}
  if 'endings' in row:
    row = hellaswag.question(row)
  if 'context_options' in row:
    contexts = texts(row['context_options'], 'context_options')
    tail = _text(field(row, source, 'continuation'), f'{source}: continuation')
    continuations = (tail,) * len(contexts)
  elif 'choices' in row:
    continuations = texts(row['choices'], 'choices')
    head = _text(field(row, source, 'context', 'query'), f'{source}: context')
    contexts = (head,) * len(continuations)
  else:
    contexts = (_text(field(row, source, 'context', 'query'),
                      f'{source}: context'),)
    continuations = (_text(field(row, source, 'continuation'),
                           f'{source}: continuation'),)
  if not all(continuations):
    raise errors.InputError(f'{source}: a continuation is empty.')
  if len(contexts) == 1:
    return Item(contexts, continuations, 0, source)
  gold = field(row, source, 'gold', 'answer')
  options = contexts if 'context_options' in row else continuations
  if isinstance(gold, str) and options.count(gold) == 1:
    gold = options.index(gold)
  if type(gold) is not int or not 0 <= gold < len(options):
    raise errors.InputError(
        f'{source}: the answer should be 0 to {len(options) - 1}, or the text '
        f'of one option; got {gold!r}.')
  return Item(contexts, continuations, gold, source)


def field(row: dict[str, Any], source: str, *names: str) -> Any:
  """Returns the value of the first of the named fields that the row has.

  Raises:
    InputError: If it has none of them.
  """
  for name in names:
    if name in row:
      return row[name]
  odd = [key for key in row if key not in _FIELDS]
  hint = config.near(odd[0], names) if odd else ''
  raise errors.InputError(
      f'{source}: has no {" or ".join(names)}; it has {sorted(row)[:20]}.'
      f'{hint}')


def _text(value: Any, what: str) -> str:
  if not isinstance(value, str):
    raise errors.InputError(f'{what} should be a text; got {value!r:.60}.')
  return value
