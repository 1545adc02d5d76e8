"""A cache model: interpolation with recent tokens of the same document."""
from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np

from lmjax.core import ranges
from lmjax.models.counted import ngram_keys


@dataclasses.dataclass(frozen=True)
@ranges.checked
class CacheConfig:
  """Interpolation with the relative frequencies of recent tokens.

  p(w) = (1 - weight) p_model(w) + weight count(w) / n, where count(w) is the
  number of times that w occurs in the n <= size tokens before it, not counting
  BOS. At the beginning, where n = 0, p(w) = p_model(w).

  Attributes:
    weight: The weight of the cache, above 0 and below 1.
    size: Number of earlier tokens in the cache, within the row of a batch.

  References:
    Kuhn and De Mori, A Cache-Based Natural Language Model for Speech
    Recognition, IEEE Trans. PAMI 12(6), 1990.
  """
  weight: ranges.ProperShare = 0.1
  size: ranges.Count = 500

  def interpolate(self, batch: Mapping[str, np.ndarray], nll_BT: np.ndarray,
                  bos_id: int | None) -> np.ndarray:
    """Returns the loss of each target with the cache, in nats, float64 [B, T].

    Args:
      batch: See `frequencies`.
      nll_BT: The model's loss of each target, in nats.
      bos_id: The id that begins documents, which is never in the cache.
    """
    p_BT = np.exp(-np.asarray(nll_BT, np.float64))
    cache_BT, known_BT = frequencies(batch, self.size, bos_id)
    weight_BT = self.weight * known_BT
    with np.errstate(divide='ignore'):
      nll_BT = -np.log((1 - weight_BT) * p_BT + weight_BT * cache_BT)
    return np.where(np.asarray(batch['segments']) == 0, 0.0, nll_BT)


@dataclasses.dataclass(frozen=True)
class Cached:
  """A score function interpolated with a cache, with the same signature.

  The cache has only the probabilities of targets, so `correct_BT` is from the
  score alone: whether the target is its most probable token.

  Attributes:
    score: Maps a batch to the loss of each target in nats, and whether the
      target was the most probable token, each [B, T].
    config: The config of the cache.
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
  """Returns each target's share of the tokens before it, and if there are any.

  Args:
    batch: `inputs`, `targets`, `positions` and `segments`, [B, T].
    size: Number of earlier tokens of the same segment to count.
    bos_id: A token that is not counted, or None.
  """
  inputs_BT, targets_BT, positions_BT, segments_BT = (
      np.asarray(batch[name]).astype(np.int64)
      for name in ('inputs', 'targets', 'positions', 'segments'))
  rows, length = inputs_BT.shape
  place_BT = np.arange(rows * length).reshape(rows, length)
  first_BT = place_BT - np.minimum(positions_BT, size - 1)
  first_BT = np.maximum(first_BT, place_BT[:, :1])
  # All tokens from a text's first place to the current one are in the text.
  counts_BT = (segments_BT > 0) & (inputs_BT != bos_id)
  places = rows * length + 1
  keys, _ = ngram_keys.ordered(
      (inputs_BT * places + place_BT)[counts_BT])
  found_BT = (np.searchsorted(keys, targets_BT * places + place_BT, 'right')
              - np.searchsorted(keys, targets_BT * places + first_BT, 'left'))
  total = np.concatenate([[0], np.cumsum(counts_BT)])
  total_BT = total[place_BT + 1] - total[first_BT]
  return found_BT / np.maximum(total_BT, 1), total_BT > 0
