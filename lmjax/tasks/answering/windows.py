"""Turns questions about texts into rows: overlapping windows of each text."""
import collections
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import functools
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.tasks.answering import passages
from lmjax.tasks import rows as rows_lib

_LEAST = 8  # Tokens of the text in a window.


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Windows:
  """How a text that does not fit into one row is read.

  Each row has the question and a window of the text, as long as fits.

  Attributes:
    stride: Number of tokens from the beginning of a window to that of the next
      one, if a window has as many.
    longest_question: Most tokens of a question; longer ones are cut at their
      end, and counted.

  References:
    Devlin et al., BERT, arXiv:1810.04805, and its published code (`doc_stride`,
    `max_query_length`).
  """
  stride: ranges.Count = 128
  longest_question: ranges.Count = 64


@dataclasses.dataclass(frozen=True)
class Window:
  """A window of a text in a row.

  Attributes:
    row: The ids of the row.
    column: The column of the window's first token of the text.
    first: The index of this token in the text.
    size: The number of tokens of the text in the window.
  """
  row: rows_lib.Row
  column: int
  first: int
  size: int

  def columns(self, tokens: tuple[int, int] | None) -> tuple[int, int]:
    """Returns the columns of the first and last token of an answer.

    Args:
      tokens: The indices of these tokens in the text; None for no answer.

    Returns:
      The columns, or (0, 0) if they are not both in the window.
    """
    if tokens is None or tokens[0] < self.first or (
        tokens[1] >= self.first + self.size):
      return 0, 0
    return tuple(self.column + place - self.first for place in tokens)


@dataclasses.dataclass(frozen=True)
class WindowRows:
  """The questions of a split as windows of their texts; a `task.Rows`.

  Attributes:
    rows: A row for each window. Its `by_row` has `starts`, `ends`, `firsts`
      and `lasts`; see `objectives.spans`.
    owners_W: The index of the question of each window, in order.
    windows: The windows.
    spans: For each question, the characters of its text that each token is
      from, [tokens, 2].
    notes: Numbers by what they count, such as questions that were cut.
  """
  rows: rows_lib.Rows
  owners_W: np.ndarray
  windows: tuple[Window, ...]
  spans: tuple[np.ndarray, ...]
  notes: Mapping[str, int]

  def __len__(self) -> int:
    """Returns the number of questions."""
    return len(self.spans)

  def once(self) -> Iterator[tuple[np.ndarray, Mapping[str, np.ndarray]]]:
    """Yields (indices of the questions, batch): each window exactly once."""
    for chosen, batch in self.rows.once():
      yield self.owners_W[chosen], batch

  def joined(self, number: int, outputs: Sequence[Any]) -> tuple[Any, ...]:
    """Returns the outputs of a question's windows, in the order of the text.

    Raises:
      RuntimeError: If there are not as many outputs as windows.
    """
    places = self.places(number)
    if len(places) != len(outputs):
      raise RuntimeError(
          f'Question {number} has {len(places)} windows, and {len(outputs)} '
          'outputs.')
    length_W = np.searchsorted(
        self.rows.features.lengths, self.rows.sizes[places])
    found = [None] * len(places)
    for place, output in zip(np.argsort(length_W, kind='stable'), outputs):
      found[place] = output
    return tuple(found)

  def places(self, number: int) -> np.ndarray:
    """Returns the indices of the windows of a question."""
    start, end = np.searchsorted(self.owners_W, [number, number + 1])
    return np.arange(start, end)

  def batches(self, seed: int) -> 'Batches':
    """Returns the training batches, shuffled windows."""
    if not len(self):
      raise errors.InputError('There are no training examples.')
    return Batches(self.rows, seed, owners_W=self.owners_W)

  def describe(self) -> str:
    """Returns a description: numbers of questions and windows, and of losses.
    """
    if not len(self):
      return 'no example'
    return '; '.join([
        f'{len(self):,} questions in {len(self.windows):,} windows of '
        f'{self.rows.sizes.mean():.1f} tokens on average',
        *(f'{number:,} {what}' for what, number in self.notes.items())])


@dataclasses.dataclass(frozen=True)
class Batches(rows_lib.Batches):
  """Training batches of windows.

  Attributes:
    owners_W: The index of the question of each window.
  """
  owners_W: np.ndarray | None = None

  def documents(self, step: int) -> list[list[int]]:
    """Returns the index of the question in each row of a step's batch."""
    return [[int(self.owners_W[place]) for place in row]
            for row in super().documents(step)]


def build(features: rows_lib.Features, windows: Windows,
          questions: Sequence[passages.Question],
          tokenizer: tokenizer_lib.Tokenizer) -> WindowRows:
  """Returns the windows of questions.

  The answer of training is the most frequent one of a question. A window in
  which it is not whole has no answer.

  Args:
    features: How rows and batches are made; `prefix` is put before questions.
    windows: How long texts are read.
    questions: The questions; their answers may be unknown.
    tokenizer: Maps text to ids, and finds the characters of each.

  Raises:
    InputError: If rows are too short for questions, or a row has no token
      before its text.
  """
  _check_room(features, windows, tokenizer)
  read = functools.cache(lambda text: _read(text, tokenizer))
  found, owners, notes = [], [], collections.Counter()
  targets, spans = [], []
  for number, question in enumerate(questions):
    asked = tokenizer.encode(features.prefix + question.question)
    notes[f'questions cut to {windows.longest_question} tokens'] += (
        len(asked) > windows.longest_question)
    ids, spans_N2 = read(question.context)
    notes['texts without a token'] += not len(ids)
    some = list(_cut(asked[:windows.longest_question], ids, features, windows,
                     tokenizer, question.where))
    tokens = _answer(question, spans_N2, notes)
    columns = [window.columns(tokens) for window in some]
    notes['answers in no window, trained on as no answer'] += (
        tokens is not None and not any(map(any, columns)))
    found += some
    targets += columns
    owners += [number] * len(some)
    spans.append(spans_N2)
  return WindowRows(
      _rows(features, found, targets), np.array(owners, np.int64), tuple(found),
      tuple(spans), {what: count for what, count in notes.items() if count})


def _check_room(features, windows, tokenizer) -> None:
  """Raises InputError if a row may have too few tokens for a text."""
  most = features.longest - tokenizer.frame(2).size(2) - _LEAST
  if windows.longest_question > most:
    raise errors.InputError(
        f'Rows of {features.longest} tokens leave too few for a text beside a '
        f'question of {windows.longest_question}: raise task.features.lengths, '
        f'or set task.windows.longest_question to at most {max(most, 1)}.')


def _read(text: str, tokenizer) -> tuple[np.ndarray, np.ndarray]:
  """Returns the ids of a text and the characters that each is from."""
  prefix = tokenizer.pair_prefix
  spans_N2 = tokenizer.spans(prefix + text) - len(prefix)
  return tokenizer.encode(prefix + text), np.maximum(spans_N2, 0)


def _cut(asked, ids, features, windows, tokenizer, where) -> Iterator[Window]:
  """Yields the windows of a text, at least one."""
  frame, start = tokenizer.frame(2), 0
  if not frame.before and not len(asked):
    raise errors.InputError(
        f'{where}: the question has no token; remove it, or use another '
        'tokenizer.')
  room = features.longest - frame.size(2) - len(asked)
  while True:
    part = ids[start:start + room]
    row = rows_lib.layout([asked, part], features.longest, tokenizer)
    yield Window(row, row.spans[1][0], start, len(part))
    if start + len(part) >= len(ids):
      return
    start += min(windows.stride, len(part))


def _answer(question: passages.Question, spans_N2: np.ndarray,
            notes: collections.Counter) -> tuple[int, int] | None:
  """Returns the first and last token of the answer to train on, or None."""
  if not question.answers:
    return None
  answer = collections.Counter(question.answers).most_common(1)[0][0]
  end = answer.start + len(answer.text)
  within = np.flatnonzero((spans_N2[:, 1] > answer.start)
                          & (spans_N2[:, 0] < end)
                          & (spans_N2[:, 1] > spans_N2[:, 0]))
  if not len(within):
    notes['answers without a token, trained on as no answer'] += 1
    return None
  first, last = int(within[0]), int(within[-1])
  notes['answers begin or end within a token'] += (
      (spans_N2[first, 0], spans_N2[last, 1]) != (answer.start, end))
  return first, last


def _rows(features, windows: Sequence[Window],
          targets: Sequence[tuple[int, int]]) -> rows_lib.Rows:
  """Returns the rows of windows, with the columns of texts and answers."""
  columns = np.array(targets, np.int32).reshape(-1, 2)
  firsts = np.array([window.column for window in windows], np.int32)
  sizes = np.array([window.size for window in windows], np.int32)
  return rows_lib.Rows(
      features,
      rows_lib.padded([each.row.ids for each in windows], features.longest),
      np.array([len(each.row.ids) for each in windows], np.int32), 0,
      {'starts': columns[:, 0], 'ends': columns[:, 1], 'firsts': firsts,
       'lasts': firsts + sizes},
      {'types': rows_lib.padded(
          [each.row.types for each in windows], features.longest)})
