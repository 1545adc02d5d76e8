"""Questions with options, as examples of a task."""
from collections.abc import Sequence
import json
from typing import Any, NamedTuple

from lmjax.core import errors
from lmjax.core.files import strict_json
from lmjax.evaluation.choice import questions


class Question(NamedTuple):
  """A question and its options.

  Attributes:
    contexts: The context of each option; '' if it has none.
    options: The text of each option.
    gold: Index of the right option; None if it is unknown.
    where: The place of the question, such as file and line, for messages.
  """
  contexts: tuple[str, ...]
  options: tuple[str, ...]
  gold: int | None
  where: str

  @property
  def texts(self) -> tuple[str, ...]:
    """The distinct texts, by which copies of a question are found."""
    return tuple(dict.fromkeys((*self.contexts, *self.options)))

  @property
  def content(self) -> tuple[Any, ...]:
    """The values that results depend on."""
    return self.contexts, self.options, self.gold

  @property
  def told_apart_by(self) -> tuple[str, ...]:
    """The options; or their contexts, if these differ instead."""
    return self.options if len(set(self.contexts)) == 1 else self.contexts

  @property
  def pairs(self) -> list[tuple[str, ...]]:
    """The context and the text of each option; the text alone without one."""
    return [(context, option) if context.strip() else (option,)
            for context, option in zip(self.contexts, self.options)]


def of_item(item: questions.Item) -> Question:
  """Returns a question that was read for the likelihood of its options.

  Raises:
    InputError: If it has a single option.
  """
  if len(item.continuations) < 2:
    raise errors.InputError(
        f'{item.source}: the question has one option, but a choice needs two; '
        'give its options as "choices".')
  return Question(item.contexts, item.continuations, item.gold, item.source)


def question(texts: Sequence[str], where: str, label: str | None = None
             ) -> Question:
  """Returns a question written as two texts.

  Args:
    texts: The context, and a JSON list of the options.
    where: The place of the question, for messages.
    label: The number of the right option from 0, or its text; None if it is
      unknown.

  Raises:
    InputError: If the second text is no list of options, or the label is none
      of them.

  Example:
    >>> question(['It rains, so', '["I swim.", "I stay in."]'], 'f:1', '1').gold
    1
  """
  options = None
  if len(texts) == 2:
    try:
      options = strict_json.loads(texts[1])
    except ValueError:
      pass
  if not isinstance(options, list) or len(options) < 2 or not all(
      isinstance(option, str) and option.strip() for option in options):
    raise errors.InputError(
        f'{where}: a question should be two texts, its context and a JSON list '
        f'of options such as {json.dumps(["yes", "no"])}; got '
        f'{list(texts)!r:.80}.')
  gold = None if label is None else numbered(label, options, where)
  return Question((texts[0],) * len(options), tuple(options), gold, where)


def numbered(label: str | int, options: Sequence[str], where: str,
             first: int = 0) -> int:
  """Returns the index of the right option.

  Args:
    label: The text of one option, its number, or its letter, such as 'B'.
    options: The texts of the options.
    where: The place of the question, for messages.
    first: The number of the first option.

  Raises:
    InputError: If the label is none of these.
  """
  said = str(label).strip()
  if list(options).count(said) == 1:
    return list(options).index(said)
  if said.removeprefix('-').isdecimal():
    gold = int(said) - first
  else:
    gold = ord(said) - ord('A') if len(said) == 1 else -1
  if not 0 <= gold < len(options):
    raise errors.InputError(
        f'{where}: the label should be {first} to {first + len(options) - 1}, '
        f'a letter from A, or the text of one option; got {label!r}.')
  return gold
