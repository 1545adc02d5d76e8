"""Rotary position embedding, and ways to extend it to a longer context."""
from collections.abc import Sequence
import dataclasses
import math
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.core import ranges


class SameForAllLengths:
  """A scaling whose frequencies do not depend on how long the text is."""

  def of_texts(self, theta: float, size: int, positions_BT: jax.Array
               ) -> np.ndarray:
    """Returns the frequencies for texts: one row for all, or one for each."""
    del positions_BT
    return self.frequencies(theta, size)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class LinearScaling(SameForAllLengths):
  """Divides positions by `factor`.

  Attributes:
    factor: Length of the new context, divided by the old one's.

  References:
    Chen et al., Extending Context Window by Positional Interpolation,
    arXiv:2306.15595.
  """
  factor: ranges.Positive = 2.0

  def frequencies(self, theta: float, size: int) -> np.ndarray:
    return frequencies(theta, size) / self.factor

  def magnitude(self) -> float:
    return 1.0


@dataclasses.dataclass(frozen=True)
@ranges.checked
class NTKScaling(SameForAllLengths):
  """Raises the base so that the lowest frequency is divided by `factor`.

  Attributes:
    factor: Length of the new context, divided by the old one's.

  References:
    bloc97, NTK-Aware Scaled RoPE, 2023; Peng et al., arXiv:2309.00071, eq. 16.
  """
  factor: ranges.Positive = 2.0

  def frequencies(self, theta: float, size: int) -> np.ndarray:
    return frequencies(theta * self.factor ** (size / (size - 2)), size)

  def magnitude(self) -> float:
    return 1.0


@dataclasses.dataclass(frozen=True)
@ranges.checked
class YarnScaling(SameForAllLengths):
  """Interpolates slow dimensions, keeps fast ones, and sharpens attention.

  Attributes:
    factor: Length of the new context, divided by the old one's.
    original_context: The context of pretraining, in tokens.
    fast_turns, slow_turns: A dimension that turns more often than `fast_turns`
      within the original context is kept; one that turns less often than
      `slow_turns` is interpolated; between the two there is a linear ramp.

  References:
    Peng et al., YaRN, arXiv:2309.00071, eqs. 19-22.
  """
  factor: ranges.Positive = 4.0
  original_context: ranges.Count = 2048
  fast_turns: ranges.Positive = 32.0
  slow_turns: ranges.Positive = 1.0

  def frequencies(self, theta: float, size: int) -> np.ndarray:
    def dimension(turns):  # The dimension that makes this many turns.
      return (size * math.log(self.original_context / (turns * 2 * math.pi))
              / (2 * math.log(theta)))
    low = max(math.floor(dimension(self.fast_turns)), 0)
    high = min(math.ceil(dimension(self.slow_turns)), size - 1)
    ramp = (np.arange(size // 2) - low) / max(high - low, 0.001)
    kept = 1 - np.clip(ramp, 0, 1)
    plain = frequencies(theta, size)
    return plain / self.factor * (1 - kept) + plain * kept

  def magnitude(self) -> float:
    return 0.1 * math.log(self.factor) + 1.0 if self.factor > 1 else 1.0


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Llama3Scaling(SameForAllLengths):
  """Divides only the frequencies with wavelengths beyond the old context.

  References:
    Llama Team, The Llama 3 Herd of Models, arXiv:2407.21783; the ramp is from
    the released Llama 3.1 code.
  """
  factor: ranges.Positive = 8.0
  low_factor: ranges.Positive = 1.0
  high_factor: ranges.Positive = 4.0
  original_context: ranges.Count = 8192

  def frequencies(self, theta: float, size: int) -> np.ndarray:
    plain = frequencies(theta, size)
    turns = self.original_context * plain / (2 * math.pi)
    kept = np.clip((turns - self.low_factor)
                   / (self.high_factor - self.low_factor), 0, 1)
    return plain * kept + plain / self.factor * (1 - kept)

  def magnitude(self) -> float:
    return 1.0


@dataclasses.dataclass(frozen=True)
@ranges.checked
class LongRopeScaling:
  """Divides each frequency by its own factor, and sharpens attention.

  A text that fits into the old context has other factors than a longer one.
  So the states of its first tokens change when a text outgrows the old context,
  and the keys that a cache holds by then are not rotated anew.

  Attributes:
    short: The divisor of each frequency for texts within the old context.
    long: The divisor of each frequency for longer texts.
    factor: Length of the new context, divided by the old one's.
    original_context: The context of pretraining, in tokens.

  References:
    Ding et al., LongRoPE, arXiv:2402.13753, section 3; Abdin et al., Phi-3,
    arXiv:2404.14219, section 2. The magnitude is from their released code.
  """
  short: tuple[ranges.Positive, ...] = ()
  long: tuple[ranges.Positive, ...] = ()
  factor: ranges.Positive = 32.0
  original_context: Annotated[int, ranges.Range(2)] = 4096

  def frequencies(self, theta: float, size: int) -> np.ndarray:
    """Returns the frequencies for texts within the old context."""
    return _divided(self.short, theta, size)

  def of_texts(self, theta: float, size: int, positions_BT: jax.Array
               ) -> jax.Array:
    """Returns the frequencies for each text, [B, size / 2]."""
    outgrown_B1 = jnp.max(
        positions_BT, axis=1, keepdims=True) >= self.original_context
    return jnp.where(
        outgrown_B1, _divided(self.long, theta, size)[None],
        _divided(self.short, theta, size)[None])

  def magnitude(self) -> float:
    if self.factor <= 1:
      return 1.0
    return math.sqrt(
        1 + math.log(self.factor) / math.log(self.original_context))


Scaling = (LinearScaling | NTKScaling | YarnScaling | Llama3Scaling
           | LongRopeScaling)


def frequencies(theta: float, size: int) -> np.ndarray:
  """Returns the `size / 2` angular frequencies theta ** (-2i / size)."""
  if size % 2:
    raise errors.InputError(
        'Rotary positions turn pairs of dimensions: the rotated size should '
        f'be even, got {size}.')
  return theta ** -(np.arange(0, size, 2) / size)


def _divided(factors: Sequence[float], theta: float, size: int) -> np.ndarray:
  """Returns the frequencies, each divided by its own factor."""
  plain = frequencies(theta, size)
  if len(factors) != len(plain):
    raise errors.InputError(
        'LongRopeScaling should have a factor for each of the '
        f'{len(plain)} pairs of dimensions that are rotated; got '
        f'{len(factors)}.')
  return plain / np.asarray(factors)


def rotate(
    x_BTNH: jax.Array, positions_BT: jax.Array,
    frequencies: np.ndarray | jax.Array, magnitude: float = 1.0, *,
    interleaved: bool = False,
) -> jax.Array:
  """Rotates the leading dimensions of each head by angles set by the position.

  Dimension i is paired with i + R/2 (the "half-split" layout of GPT-NeoX and
  of Hugging Face's Llama), where R is twice the number of frequencies.
  Dimensions from R on do not change. Angles are always float32, since bfloat16
  cannot distinguish positions 256 and 257.

  Args:
    x_BTNH: Queries or keys.
    positions_BT: Positions of the queries or keys.
    frequencies: The angle of each pair at position 1, in radians; with a
      leading axis B if the texts have different ones.
    magnitude: Multiplies the rotated dimensions.
    interleaved: Whether dimension 2i is paired with 2i + 1 instead, as in the
      paper, in GPT-J and in Meta's Llama.

  References:
    Su et al., RoFormer, arXiv:2104.09864, eq. 34.
  """
  half = frequencies.shape[-1]
  angle_BT1R = (
      positions_BT.astype(jnp.float32)[:, :, None, None]
      * jnp.asarray(frequencies, jnp.float32).reshape(-1, 1, 1, half))
  cos, sin = (magnitude * f(angle_BT1R) for f in (jnp.cos, jnp.sin))
  x = x_BTNH.astype(jnp.float32)
  rest = x_BTNH[..., 2 * half:]
  if interleaved:
    first, second = x[..., :2 * half:2], x[..., 1:2 * half:2]
  else:
    first, second = x[..., :half], x[..., half:2 * half]
  turned = [first * cos - second * sin, second * cos + first * sin]
  if interleaved:
    turned = jnp.stack(turned, axis=-1).reshape(x[..., :2 * half].shape)
  else:
    turned = jnp.concatenate(turned, axis=-1)
  return jnp.concatenate([turned.astype(x_BTNH.dtype), rest], axis=-1)
