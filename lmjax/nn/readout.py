"""The hidden states of a text in any model, and ways to pool them."""
import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.nn import masks

Pooling = Literal['mean', 'cls', 'last', 'max', 'mean_sqrt']


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Readout:
  """How the hidden states of a text become its vector.

  Attributes:
    pooling: 'mean' averages all tokens, 'cls' takes the first, 'last' the last,
      'max' the largest value of each feature; 'mean_sqrt' divides the sum of
      all tokens by the square root of their number.
    unit: Whether vectors are scaled to length 1.
    length: Most tokens of a text to read; None takes the model's context.
    lower: Whether texts are turned to lower case first.

  References:
    Reimers and Gurevych, Sentence-BERT, arXiv:1908.10084, section 3.
  """
  pooling: Pooling = 'mean'
  unit: bool = False
  length: ranges.Count | None = None
  lower: bool = False

  def __post_init__(self):
    if self.pooling not in POOLING:
      raise errors.InputError(
          f'pooling is {self.pooling!r}; choose from {sorted(POOLING)}.')

  def describe(self) -> str:
    """Returns what is done, in words."""
    return ', '.join(filter(None, (
        self.pooling, self.unit and 'scaled to length 1',
        self.length and f'of the first {self.length} tokens',
        self.lower and 'in lower case')))

  def pooled(self, x_BTD: jax.Array, real_BT: jax.Array) -> jax.Array:
    """Returns float32 `x_BD` for hidden states; padding does not count."""
    x_BD = POOLING[self.pooling](x_BTD, real_BT).astype(jnp.float32)
    if self.unit:
      x_BD /= jnp.maximum(
          jnp.linalg.norm(x_BD, axis=1, keepdims=True), 1e-12)
    return x_BD


def states(model: nn.Module, inputs_BT: jax.Array, positions_BT: jax.Array,
           segments_BT: jax.Array, *, types_BT: jax.Array | None = None,
           causal: bool = True, train: bool = False) -> jax.Array:
  """Returns the hidden states of each token, `x_BTD`.

  The states come from the method `encode` if the model has a part that encodes
  a whole text (an encoder-decoder's encoder, XLNet's content stream), and from
  `hidden` otherwise. Call this inside a module, or as
  `model.apply(variables, ..., method=readout.states)`.

  Args:
    model: Any module of `lmjax.models.model.Model`.
    inputs_BT: Token ids.
    positions_BT: Positions of the tokens, from 0.
    segments_BT: Documents from 1, 0 for padding.
    types_BT: Which text of a pair each token is from; see `typed`.
    causal: Whether a causal model uses a causal mask; a model that reads in
      both directions never does.
    train: Whether dropout is on.
  """
  traits = model.config.traits
  mask = masks.make(
      positions_BT, segments_BT,
      causal=causal and traits.causal and not traits.encodes)
  given = typed(model, types_BT)
  if traits.encodes:
    return model.encode(inputs_BT, mask, train=train, **given)
  return model.hidden(inputs_BT, mask, train=train, **given)[0]


def typed(model: Any, types_BT: jax.Array | None) -> dict[str, jax.Array]:
  """Returns the keyword argument `types_BT` for a model that takes it, or {}.

  Args:
    model: Any module of `lmjax.models.model.Model`. A model without token
      types reads a pair as one text.
    types_BT: The type of each token, or None if the batch has none.
  """
  if types_BT is None or model.config.traits.types < 2:
    return {}
  return {'types_BT': types_BT}


def mean(x_BTD: jax.Array, real_BT: jax.Array) -> jax.Array:
  """Returns the average of the real tokens, `x_BD`, summed in float32."""
  weights_BT1 = real_BT[:, :, None].astype(jnp.float32)
  total_BD = jnp.sum(x_BTD.astype(jnp.float32) * weights_BT1, axis=1)
  return total_BD / jnp.maximum(jnp.sum(weights_BT1, axis=1), 1.0)


def largest(x_BTD: jax.Array, real_BT: jax.Array) -> jax.Array:
  """Returns the maximum of each feature over the real tokens, `x_BD`."""
  lowest = jnp.finfo(jnp.float32).min
  x_BD = jnp.max(jnp.where(
      real_BT[:, :, None], x_BTD.astype(jnp.float32), lowest), axis=1)
  return jnp.where(jnp.any(real_BT, axis=1)[:, None], x_BD, 0.0)


def last(x_BTD: jax.Array, real_BT: jax.Array) -> jax.Array:
  """Returns the hidden state of the last real token of each row, `x_BD`."""
  index_BT = jnp.arange(real_BT.shape[1])[None] * real_BT
  index_B11 = jnp.max(index_BT, axis=1)[:, None, None]
  return jnp.take_along_axis(x_BTD, index_B11, axis=1)[:, 0]


def first(x_BTD: jax.Array, real_BT: jax.Array) -> jax.Array:
  """Returns the hidden state of the first token of each row, `x_BD`."""
  del real_BT
  return x_BTD[:, 0]


def mean_sqrt(x_BTD: jax.Array, real_BT: jax.Array) -> jax.Array:
  """Returns the sum of the n real tokens divided by sqrt(n), `x_BD`."""
  count_B1 = jnp.sum(real_BT, axis=1, dtype=jnp.float32)[:, None]
  return mean(x_BTD, real_BT) * jnp.sqrt(count_B1)


POOLING = {'mean': mean, 'cls': first, 'last': last, 'max': largest,
           'mean_sqrt': mean_sqrt}
