"""What all corruptions share: rows that are corrupted as they are drawn."""
from collections.abc import Callable
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.data import packing
from lmjax.data import pieces


class Corruption:
  """A way to make a task of plain text: the base of the configs.

  A subclass says `sizes` and `corrupt`; `layout` and `last` where they differ.

  Attributes:
    joined: Whether source and target make one row, for a decoder alone.
  """
  joined = False
  last = False  # Whether the target of a row's last token belongs to it.

  def sizes(self, length: int) -> pieces.Sizes:
    """Returns how long rows become that had `length` tokens."""
    raise TypeError(f'{type(self).__name__} should define sizes.')

  def corrupt(self, tokenizer: Any, length: int) -> pieces.Corrupt:
    """Returns `corrupt(texts, draws) -> (source, target)`.

    Raises:
      InputError: If the tokenizer lacks a special id or has too few sentinels.
    """
    raise TypeError(f'{type(self).__name__} should define corrupt.')

  def layout(self) -> Callable[..., dict[str, np.ndarray]]:
    """Returns what makes a batch of source and target."""
    return pieces.joined if self.joined else pieces.pairs

  def raw_length(self, limit: int) -> int:
    """Returns the longest rows that corrupted still fit in `limit` tokens.

    Raises:
      InputError: If there are none.
    """
    for length in range(limit, 0, -1):
      sizes = self.sizes(length)
      longest = sizes.joined if self.layout() is not pieces.pairs else max(
          sizes.source, sizes.target)
      if longest <= limit:
        return length
    raise errors.InputError(
        f'{type(self).__name__} cannot fit into rows of {limit} tokens; give '
        'a larger --config.data.length.')

  def build(self, rows: packing.Rows, tokenizer: Any, length: int, seed: int
            ) -> packing.Rows:
    """Returns rows that are corrupted as they are drawn.

    Args:
      rows: Plain rows of `length` tokens.
      tokenizer: Whose special ids are used.
      length: Tokens a plain row.
      seed: Of the corruption, with the epoch and the index of each row.

    Raises:
      InputError: See `corrupt`.
    """
    return Corrupted(rows, self.corrupt(tokenizer, length), self.layout(),
                     self.sizes(length), seed, self.last)


class Corrupted:
  """Rows, each corrupted by its own random numbers."""

  def __init__(self, rows: packing.Rows, corrupt: pieces.Corrupt,
               layout: Callable[..., dict[str, np.ndarray]],
               sizes: pieces.Sizes, seed: int, last: bool):
    self.num_rows = rows.num_rows
    self._rows, self._corrupt, self._layout = rows, corrupt, layout
    self._sizes, self._seed, self._last = sizes, seed, last

  def rows(self, epoch: int, indices: np.ndarray) -> dict[str, np.ndarray]:
    """See `packing.Rows`; arrays are as long as `Corruption.sizes` says."""
    batch = self._rows.rows(epoch, indices)
    texts = pieces.of_rows(batch, self._last)
    draws = pieces.Draws(
        self._seed, epoch, indices, batch['inputs'].shape[1] + 1)
    source, target = self._corrupt(texts, draws)
    return self._layout(source, target, len(indices), self._sizes)


def check_rate(name: str, rate: float, least: bool = False) -> None:
  """Refuses a share that is not in [0, 1], or (0, 1) if `least`."""
  if not (0 < rate < 1 if least else 0 <= rate <= 1):
    raise errors.InputError(
        f'corruption.{name} should be '
        f'{"between 0 and 1" if least else "from 0 to 1"}; got {rate}.')


def check_documents(documents: int) -> None:
  """Refuses room for no document at all."""
  if documents < 1:
    raise errors.InputError(
        f'corruption.documents should be at least 1; got {documents}.')


def sentinels(tokenizer: Any, needed: int, what: str) -> np.ndarray:
  """Returns the first `needed` sentinel ids of the tokenizer.

  Raises:
    InputError: If it has fewer.
  """
  ids = np.asarray(tokenizer.sentinel_ids, np.int64)
  if len(ids) < needed:
    raise errors.InputError(
        f'{what} needs {needed} sentinels and the tokenizer has {len(ids)}; '
        f'set --config.data.sentinels={needed}.')
  return ids[:needed]
