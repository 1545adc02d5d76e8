"""Means that stay exact when batches, devices or microbatches are merged."""
from collections.abc import Iterable, Mapping

from flax import struct
import jax
import jax.numpy as jnp


@struct.dataclass
class Mean:
  """A weighted sum and its weight; `value` divides once, at the end.

  The average of means of unevenly filled batches differs from the mean over all
  tokens. Totals and weights add up exactly, so steps and devices pass these on.
  """
  total: jax.Array | float
  weight: jax.Array | float

  @classmethod
  def of(cls, values: jax.Array, weights: jax.Array | float = 1.0) -> 'Mean':
    """Returns the mean of `values` under `weights`, which broadcast.

    A value with weight 0 does not count, even if it is NaN or infinite.
    """
    values = jnp.asarray(values, jnp.float32)
    weights = jnp.broadcast_to(jnp.asarray(weights, jnp.float32), values.shape)
    counted = jnp.where(weights > 0, values, 0.0)
    return cls(jnp.sum(counted * weights), jnp.sum(weights))

  def merge(self, other: 'Mean') -> 'Mean':
    return Mean(self.total + other.total, self.weight + other.weight)

  @property
  def value(self) -> float:
    """The mean as a Python float; NaN if the weight is 0."""
    weight = float(self.weight)
    return float(self.total) / weight if weight else float('nan')


def merge(rows: Iterable[Mapping[str, Mean]]) -> dict[str, Mean]:
  """Merges dicts of means key by key, in float64 on the host."""
  merged = {}
  for row in rows:
    for name, mean in jax.device_get(dict(row)).items():
      mean = Mean(float(mean.total), float(mean.weight))
      merged[name] = merged[name].merge(mean) if name in merged else mean
  return merged
