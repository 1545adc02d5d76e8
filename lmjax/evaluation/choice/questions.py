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
from collections.abc import Callable, Mapping
import dataclasses
import itertools
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
  items = parsed(path, limit, lambda row, source: dataclasses.replace(
      _item(row, source), row=row))
  for item in items:
    if (len(item.contexts) == 1) != (len(items[0].contexts) == 1):
      raise errors.InputError(
          f'{item.source} has {len(item.contexts)} options, but '
          f'{items[0].source} has {len(items[0].contexts)}: put questions of '
          'one option and of several options into separate files.')
  return items


def parsed(path: str, limit: int | None,
           parse: Callable[[dict[str, Any], str], Item]) -> list[Item]:
  """Returns the first questions of a JSON lines file; see `read`.

  Args:
    path: The file.
    limit: Most questions to read; None reads all.
    parse: Function from (row, source) to a question.
  """
  items = [parse(row, source) for source, row in itertools.islice(
      json_lines.rows(path), limit)]
  if not items:
    raise errors.InputError(f'{path} has no questions.')
  return items


def _item(row: dict[str, Any], source: str) -> Item:
  def texts(value, name):
    if not (isinstance(value, list) and len(value) > 1):
      raise errors.InputError(
          f'{source}: {name} should be a list of at least two texts; got '
          f'{value!r:.60}.')
    return tuple(text(v, f'{source}: each of {name}') for v in value)

  if 'sentence_good' in row:
    row = {'query': '', 'gold': 0, 'choices': [
        field(row, source, name) for name in ('sentence_good', 'sentence_bad')]}
  if 'endings' in row:
    row = hellaswag.question(row)
  if 'context_options' in row:
    contexts = texts(row['context_options'], 'context_options')
    tail = text(field(row, source, 'continuation'), f'{source}: continuation')
    continuations = (tail,) * len(contexts)
  elif 'choices' in row:
    continuations = texts(row['choices'], 'choices')
    head = text(field(row, source, 'context', 'query'), f'{source}: context')
    contexts = (head,) * len(continuations)
  else:
    contexts = (text(field(row, source, 'context', 'query'),
                     f'{source}: context'),)
    continuations = (text(field(row, source, 'continuation'),
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


def text(value: Any, what: str) -> str:
  """Returns a value that should be a text; `what` names it in the error."""
  if not isinstance(value, str):
    raise errors.InputError(f'{what} should be a text; got {value!r:.60}.')
  return value
