"""A cache: recent tokens of the same document are likely to return."""
from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.models.counted import ngram_keys


@dataclasses.dataclass(frozen=True)
class CacheConfig:
  """Interpolation with the relative frequencies of recent tokens.

  p(w) = (1 - weight) p_model(w) + weight count(w) / n, with count(w) among the
  n <= size tokens before w, BOS aside. At the beginning, where there are none,
  the model stands alone.

  Attributes:
    weight: The cache's share, above 0 and below 1.
    size: How many tokens back it sees, within the row of a batch.

  References:
    Kuhn and De Mori, A Cache-Based Natural Language Model for Speech
    Recognition, IEEE Trans. PAMI 12(6), 1990.
  """
  weight: float = 0.1
  size: int = 500

  def __post_init__(self):
    if not 0 < self.weight < 1:
      raise errors.InputError(
          f'CacheConfig.weight should be above 0 and below 1; got '
          f'{self.weight}. Without a cache, give cache=None.')
    if self.size < 1:
      raise errors.InputError(
          f'CacheConfig.size should be at least 1; got {self.size}.')

  def interpolate(self, batch: Mapping[str, np.ndarray], nll_BT: np.ndarray,
                  bos_id: int | None) -> np.ndarray:
    """Returns the loss of each target with the cache, in nats, float64 [B, T].

    Args:
      batch: See `frequencies`.
      nll_BT: The model's loss of each target, in nats.
      bos_id: The id that begins documents, which the cache never holds.
    """
    p_BT = np.exp(-np.asarray(nll_BT, np.float64))
    cache_BT, known_BT = frequencies(batch, self.size, bos_id)
    weight_BT = self.weight * known_BT
    with np.errstate(divide='ignore'):
      nll_BT = -np.log((1 - weight_BT) * p_BT + weight_BT * cache_BT)
    return np.where(np.asarray(batch['segments']) == 0, 0.0, nll_BT)


@dataclasses.dataclass(frozen=True)
class Cached:
  """Any score interpolated with a cache, and called as it is.

  It knows the probability of targets alone, so `correct_BT` is whether the
  score, without the cache, thinks the target most probable.

  Attributes:
    score: Maps a batch to the loss of each target in nats and to whether it was
      the most probable token, each [B, T].
    config: See `CacheConfig`.
    bos_id: The id that begins documents, or None.
  """
  score: Any
  config: CacheConfig
  bos_id: int | None

  def __call__(self, batch: Mapping[str, np.ndarray]):
    nll_BT, correct_BT = self.score(batch)
    nll_BT = self.config.interpolate(batch, nll_BT, self.bos_id)
    return nll_BT.astype(np.float32), correct_BT


def frequencies(batch: Mapping[str, np.ndarray], size: int,
                bos_id: int | None) -> tuple[np.ndarray, np.ndarray]:
  """Returns each target's share of the tokens before it, and if any are there.

  Args:
    batch: `inputs`, `targets`, `positions` and `segments`, [B, T].
    size: How many tokens back to count, those of the same segment.
    bos_id: A token that does not count, or None.
  """
  inputs_BT, targets_BT, positions_BT, segments_BT = (
      np.asarray(batch[name]).astype(np.int64)
      for name in ('inputs', 'targets', 'positions', 'segments'))
  rows, length = inputs_BT.shape
  place_BT = np.arange(rows * length).reshape(rows, length)
  first_BT = place_BT - np.minimum(positions_BT, size - 1)
  first_BT = np.maximum(first_BT, place_BT[:, :1])
  # A text's own tokens alone lie from its first place to the current one.
  counts_BT = (segments_BT > 0) & (inputs_BT != bos_id)
  places = rows * length + 1
  keys, _ = ngram_keys.ordered(
      (inputs_BT * places + place_BT)[counts_BT])
  found_BT = (np.searchsorted(keys, targets_BT * places + place_BT, 'right')
              - np.searchsorted(keys, targets_BT * places + first_BT, 'left'))
  total = np.concatenate([[0], np.cumsum(counts_BT)])
  total_BT = total[place_BT + 1] - total[first_BT]
  return found_BT / np.maximum(total_BT, 1), total_BT > 0
