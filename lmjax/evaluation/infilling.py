"""Scores documents by filling in spans that are hidden in turn.

  likelihood.evaluate(
      likelihood.WithFields.of(score, objective.row_fields), documents,
      lay=infilling.Passes(corruption, tokenizer, context, batch_size),
      vocab_size=vocab_size)
"""
from collections.abc import Iterable, Iterator, Sequence
import dataclasses
from typing import Any, ClassVar

import numpy as np

from lmjax.core import errors
from lmjax.data.corruption import corrupted
from lmjax.data.corruption import passes
from lmjax.data.corruption import pieces
from lmjax.evaluation import windows

_POOL_TOKENS = 1 << 17  # Tokens of windows that are laid out together.


@dataclasses.dataclass(frozen=True)
class Passes:
  """Lays documents out as rows in which each token is hidden once.

  A document is cut into windows, each of which begins with the last token of
  the one before it. A window takes several rows, the passes of
  `Corruption.cover`. In each of them, weights are 1 for the tokens that are
  hidden there, and 0 for sentinels and for tokens that are only read.

  The batches have the fields of rows of training and, as in `windows.Windows`,
  `documents` and `places`. `seen` is the number of tokens before a target in
  its window.

  Attributes:
    corruption: The corruption that the model was trained on.
    tokenizer: The tokenizer, with its special ids.
    context: Tokens in a window.
    batch_size: Rows in a batch; affects the speed and not the result.
  """
  corruption: corrupted.Corruption
  tokenizer: Any
  context: int
  batch_size: int = 8

  stride: ClassVar = None  # Windows share one token.
  note: ClassVar = ''  # `held_out.KINDS` has it.

  def __post_init__(self):
    if self.context < 2:
      raise errors.InputError(
          'scoring.context should be at least 2 tokens, one to read and one to '
          f'fill in; got {self.context}.')

  def __call__(self, documents: Iterable[Sequence[int]]
               ) -> Iterator[dict[str, np.ndarray]]:
    """Yields the batches, arrays [batch_size, tokens of a row]."""
    cover = self.corruption.cover(self.tokenizer, self.context)
    left = None
    for rows in self._rows(cover, documents):
      if left is not None:
        rows = {k: np.concatenate([left[k], v]) for k, v in rows.items()}
      count = len(rows['weights'])
      whole = count - count % self.batch_size
      for start in range(0, whole, self.batch_size):
        yield {k: v[start:start + self.batch_size] for k, v in rows.items()}
      left = {k: v[whole:] for k, v in rows.items()}
    if left is not None and len(left['weights']):
      missing = self.batch_size - len(left['weights'])
      yield {k: np.pad(v, ((0, missing), (0, 0))) for k, v in left.items()}

  def _rows(self, cover: passes.Cover, documents: Iterable[Sequence[int]]
            ) -> Iterator[dict[str, np.ndarray]]:
    """Yields the rows of each pass over some windows."""
    pool, first, size = [], 0, self.context - 1
    for piece in windows.cut(documents, size, size):
      pool.append(piece)
      if len(pool) * self.context >= _POOL_TOKENS:
        yield from self._passes(cover, pool, first)
        first, pool = first + len(pool), []
    if pool:
      yield from self._passes(cover, pool, first)

  def _passes(self, cover: passes.Cover, pool: Sequence[windows.Piece],
              first: int) -> Iterator[dict[str, np.ndarray]]:
    """Yields the rows of each pass over windows, the first of number `first`.
    """
    lengths = np.array([len(piece.tokens) for piece in pool])
    index = np.arange(len(pool))
    texts = pieces.Texts(
        np.concatenate([piece.tokens for piece in pool]).astype(np.int64),
        lengths, index, np.ones_like(index))
    draws = pieces.Draws(0, 0, first + index, self.context + 1)
    # The values of the token at each place in `texts`; place -1 is padding.
    within = pieces.arange(lengths)
    columns = {
        'documents': np.repeat([p.document for p in pool], lengths),
        'places': np.repeat([p.start for p in pool], lengths) + within,
        'seen': within}
    columns = {name: np.append(column, 0).astype(np.int32)
               for name, column in columns.items()}
    for each in cover(texts, draws):
      rows, places_BT = self._laid(each)
      yield rows | {name: column[places_BT]
                    for name, column in columns.items()}

  def _laid(self, each: passes.Pass
            ) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns the rows of a pass, and the place of each target that counts."""
    owner = np.repeat(np.arange(len(each.target.lengths)), each.target.lengths)
    mine = np.unique(owner[each.places >= 0])
    source, target, places = (
        _chosen(texts, mine) for texts in (
            each.source, each.target,
            dataclasses.replace(each.target, tokens=each.places + 1)))
    layout, sizes = self.corruption.layout(), self.corruption.row_sizes(
        self.tokenizer, self.context)
    rows = layout(source, target, len(mine), sizes)
    places_BT = layout(
        dataclasses.replace(source, tokens=np.zeros_like(source.tokens)),
        places, len(mine), sizes)['targets'] - 1
    return rows | {'weights': (places_BT >= 0).astype(np.float32)}, places_BT


def _chosen(texts: pieces.Texts, mine: np.ndarray) -> pieces.Texts:
  """Returns some of the texts, each in a row of its own."""
  index = np.arange(len(mine))
  return pieces.Chunks.of(
      index, (texts.offsets[mine], texts.lengths[mine])).read(
          texts.tokens, pieces.Texts(
              texts.tokens, texts.lengths[mine], index, np.ones_like(index)))
