"""Questions about texts, whose answers are parts of the text."""
import collections
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from lmjax.core import errors

OnMissing = Literal['fail', 'drop']


class Answer(NamedTuple):
  """A part of a text: its characters, and the place of the first one."""
  text: str
  start: int


class Question(NamedTuple):
  """A question about a text.

  Attributes:
    question: The question.
    context: The text.
    answers: The true answers, each a part of the text; () if the text has no
      answer; None if they are unknown.
    where: The place of the question, such as file and id, for messages.
    title: The title of the article that the text is from, or None.
    name: The id of the question, or None.
  """
  question: str
  context: str
  answers: tuple[Answer, ...] | None
  where: str
  title: str | None = None
  name: str | None = None

  @property
  def texts(self) -> tuple[str, str]:
    """The question and the text."""
    return self.question, self.context

  @property
  def content(self) -> tuple[Any, ...]:
    """The values that results depend on."""
    return (*self.texts, self.answers and tuple(map(tuple, self.answers)))

  @property
  def article(self) -> str:
    """The title, or the text itself if it has none."""
    return self.title or self.context


def question(
    asked: str, context: str, answers: Sequence[tuple[str, int | None]],
    where: str, title: str | None = None, name: str | None = None, *,
    on_missing: OnMissing = 'fail', counts: collections.Counter | None = None
) -> Question | None:
  """Returns a question whose answers are where they say.

  An answer that is not at its place is moved to the nearest place where the
  text has it. Whitespace around answers is not part of them.

  Args:
    asked: The question.
    context: The text.
    answers: The answers with the place of their first character; None is the
      first place where the text has it. An empty answer is none.
    where: See `Question`.
    title: See `Question`.
    name: See `Question`.
    on_missing: How to handle an answer that the text does not have: 'fail', or
      'drop' the answer, and the question if no answer is left.
    counts: Receives the numbers of moved and dropped answers.

  Returns:
    The question, or None if it was dropped.

  Raises:
    InputError: If the question or the text is empty or, under 'fail', an answer
      is not in the text.
  """
  for text, what in (asked, 'question'), (context, 'text'):
    if not text.strip():
      raise errors.InputError(f'{where}: the {what} is empty; remove the row.')
  counts = collections.Counter() if counts is None else counts
  answers, found = [given for given in answers if given[0].strip()], []
  for text, start in answers:
    place = _placed(text, start, context, counts)
    if place is not None:
      found.append(place)
    elif on_missing == 'fail':
      raise errors.InputError(
          f'{where}: the answer {text[:60]!r} is not in its text; correct it, '
          'or set on_missing=drop to leave out such answers.')
    else:
      counts['answers dropped, which are not in their text'] += 1
  if answers and not found:
    counts['questions dropped, none of whose answers is in their text'] += 1
    return None
  return Question(asked, context, tuple(found), where, title, name)


def given_answers(value: Any, where: str) -> list[tuple[str, int | None]]:
  """Returns the answers that a JSON value holds, as `question` takes them.

  Args:
    value: A text, a list of texts, a list of objects {"text": ...,
      "answer_start": ...}, or one such object with lists. A text may be
      without its start. null, "" and [] mean that there is no answer.
    where: The place of the value, for messages.

  Raises:
    InputError: If it is something else.

  Example:
    >>> given_answers({'text': ['a', 'b'], 'answer_start': [0, 5]}, 'line 1')
    [('a', 0), ('b', 5)]
  """
  if isinstance(value, Mapping) and isinstance(value.get('text'), list):
    texts, starts = value['text'], value.get('answer_start')
    starts = [None] * len(texts) if starts is None else starts
    if not isinstance(starts, list) or len(starts) != len(texts):
      raise errors.InputError(
          f'{where}: answers should have a start for each of the {len(texts)} '
          f'texts; got {starts!r:.60}.')
    value = [{'text': text, 'answer_start': start}
             for text, start in zip(texts, starts)]
  found = []
  for item in [] if value is None else (
      value if isinstance(value, list) else [value]):
    item = {'text': item} if isinstance(item, str) else item
    if not isinstance(item, Mapping) or not isinstance(
        item.get('text'), str) or type(item.get('answer_start')) not in (
            int, type(None)):
      raise errors.InputError(
          f'{where}: an answer should be a text, or an object with "text" and '
          f'a number "answer_start"; got {item!r:.60}.')
    found.append((item['text'], item.get('answer_start')))
  return found


def _placed(text, start, context, counts) -> Answer | None:
  """Returns an answer at its place or the nearest one, or None."""
  kept = text.strip()
  places = _places(kept, context)
  if start is None:
    if len(places) > 1:
      counts['answers without a start are several times in their text, and are '
             'placed at the first'] += 1
    return Answer(kept, places[0]) if places else None
  start += len(text) - len(text.lstrip())
  if context[max(start, 0):max(start, 0) + len(kept)] == kept and start >= 0:
    return Answer(kept, start)
  if not places:
    return None
  counts['answers were not at their start, and were moved to the nearest place '
         'that has them'] += 1
  return Answer(kept, min(places, key=lambda place: abs(place - start)))


def _places(text: str, context: str) -> list[int]:
  """Returns the places at which the context has a text."""
  found, place = [], context.find(text)
  while place >= 0:
    found.append(place)
    place = context.find(text, place + 1)
  return found
