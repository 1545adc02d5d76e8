"""Rows in which texts that begin alike share the tokens of their beginning.

The options of a question share its context, and so do all questions that follow
the same examples. A row holds such texts as branches of a tree: each token is
read once, sees the tokens on its own branch only, and has its position there.
"""
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

FIELDS = ('inputs', 'positions', 'ends', 'places', 'targets', 'weights')

_SHORTEST = 256  # Tokens in the rows of short texts.
_TOKENS = 1024  # Tokens that a device reads at once, or a row if it is longer.


class Span(NamedTuple):
  """The end of a text, to be scored given the text before it.

  Attributes:
    ids: The ids of the whole text.
    start: Index of the first id to score, at least 1.
  """
  ids: np.ndarray
  start: int


class Row:
  """A tree of tokens, to which texts are added one after another.

  The tokens are in the order of a walk through the tree, each branch from its
  beginning: token s is seen by the tokens from s to `ends[s]`.

  Args:
    length: Most tokens in the row.
  """

  def __init__(self, length: int):
    self.length, self._filled = length, 0
    self._inputs, self._positions = np.zeros((2, length), np.int32)
    self._ends = np.full(length, -1, np.int32)
    self._slots = {}  # Slot by (place of the token before, target).
    self._branch = np.zeros(0, np.int64)  # Places of the last text's tokens.
    self.numbers, self.used = [], []

  def add(self, number: int, span: Span) -> bool:
    """Adds a text; returns False, and changes nothing, if it has no room.

    Args:
      number: The number of the text, by which its scores are found.
      span: The text.
    """
    read, start = np.asarray(span.ids[:-1]), span.start
    both = min(len(read), len(self._branch))
    same = read[:both] == self._inputs[self._branch[:both]]
    shared = int(np.cumprod(same).sum())
    begin, end = self._filled, self._filled + len(read) - shared
    if max(end, len(self._slots) + len(span.ids) - start) > self.length:
      return False
    self._branch = np.concatenate(
        [self._branch[:shared], np.arange(begin, end)])
    self._inputs[begin:end] = read[shared:]
    self._positions[begin:end] = np.arange(shared, len(read))
    self._ends[self._branch] = end - 1
    self._filled = end
    for asked in zip(self._branch[start - 1:].tolist(),
                     span.ids[start:].tolist()):
      self.used.append(self._slots.setdefault(asked, len(self._slots)))
      self.numbers.append(number)
    return True

  def columns(self) -> dict[str, np.ndarray]:
    """Returns the row's fields of a batch; see `batches`."""
    slots = np.array(list(self._slots), np.int32).reshape(-1, 2)
    slots = np.pad(slots, ((0, self.length - len(slots)), (0, 0)))
    return dict(
        inputs=self._inputs, positions=self._positions, ends=self._ends,
        places=slots[:, 0], targets=slots[:, 1],
        weights=np.float32(np.arange(self.length) < len(self._slots)))


def rows(spans: Iterable[Span], context: int) -> Iterator[Row]:
  """Yields rows that hold all texts, in order; neighbours share tokens.

  A row has room for at least two texts as long as its first one, if the
  context allows it, and a power of two of tokens otherwise.

  Args:
    spans: The texts, none longer than `context` without its last token.
    context: Most tokens that the model reads.
  """
  row = None
  for number, span in enumerate(spans):
    if row is not None and row.add(number, span):
      continue
    if row is not None:
      yield row
    twice = 2 << max(len(span.ids) - 2, 0).bit_length()
    row = Row(min(context, max(_SHORTEST, twice)))
    if not row.add(number, span):
      raise ValueError(
          f'Text {number} has {len(span.ids)} tokens, of which {context} are '
          'read; cut it first.')
  if row is not None:
    yield row


def batches(spans: Sequence[Span], context: int, devices: int = 1
            ) -> Iterator[dict[str, np.ndarray | Sequence[int]]]:
  """Yields batches of a few shapes that hold all texts.

  Which rows share a batch depends on the texts only, and rows of padding fill
  up the last batch of a length, so that each number is computed by the same
  program, at the same place, whatever else a user chooses.

  Args:
    spans: See `rows`.
    context: See `rows`.
    devices: Number of devices that share a batch.

  Yields:
    The arrays of `objectives.lm.branch_scores`; and `numbers` and `used`: the
    text and the slot, among all slots of the batch, of each id to score.
  """
  waiting = {}
  for row in rows(spans, context):
    same = waiting.setdefault(row.length, [])
    same.append(row)
    if len(same) == _height(row.length, devices):
      yield _batch(waiting.pop(row.length), devices)
  for same in waiting.values():
    yield _batch(same, devices)


def _height(length: int, devices: int) -> int:
  """Returns the number of rows in a batch."""
  return devices * max(1, _TOKENS // length)


def _batch(some: list[Row], devices: int) -> dict[str, np.ndarray]:
  length = some[0].length
  empty = [Row(length)] * (_height(length, devices) - len(some))
  columns = [row.columns() for row in some + empty]
  return {
      name: np.stack([column[name] for column in columns])
      for name in FIELDS
  } | {
      'numbers': np.concatenate([row.numbers for row in some]),
      'used': np.concatenate([
          i * length + np.array(row.used) for i, row in enumerate(some)])}
