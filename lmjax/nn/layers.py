"""Dense layers, embeddings, norms and MLPs, with float32 where it matters."""
from collections.abc import Callable
import dataclasses
from typing import Annotated, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import draws
from lmjax.core import errors
from lmjax.core import placement
from lmjax.core import ranges
from lmjax.nn import kernels


@dataclasses.dataclass(frozen=True)
class Policy:
  """The compute dtype and the initialisation of every layer of a model.

  Attributes:
    dtype: Dtype of activations and matrix products; parameters stay float32.
    init_std: Standard deviation of initial kernels and embeddings.
    residual_std: The same for the kernels that write to the residual stream.
    uniform: Whether initial weights are uniform rather than normal, with the
      same standard deviation.
  """
  dtype: Literal['float32', 'bfloat16', 'float16'] = 'float32'
  init_std: float = 0.02
  residual_std: float = 0.02
  uniform: bool = False

  def initializer(self, std: float | None = None
                  ) -> Callable[..., jax.Array]:
    """Returns the initializer of weights; None means a deviation of `init_std`.
    """
    std = self.init_std if std is None else std
    if not self.uniform:
      return nn.initializers.normal(std)
    bound = 3**0.5 * std
    return lambda *args: jax.random.uniform(
        *args, minval=-bound, maxval=bound)


class Dense(nn.Module):
  """A linear map of the last axis, computed on a 2-D operand.

  For a product over the last axis of a 3-D array, XLA transposes and copies
  before it calls the matrix kernel; for one of shape [B * T, D] it does not.
  """
  features: int
  policy: Policy
  use_bias: bool = True
  init_std: float | None = None  # None means the policy's.

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    dtype = self.policy.dtype
    kernel = kernels.parameter(
        self, 'kernel', self.policy.initializer(self.init_std),
        (x.shape[-1], self.features))
    y = kernels.product(flat(x), kernel, dtype)
    if self.use_bias:
      bias = self.param('bias', nn.initializers.zeros, (self.features,))
      y += _along_last(bias.astype(dtype), y.ndim)
    return y.reshape(x.shape[:-1] + (self.features,))


class Dropout(nn.Module):
  """Drops elements, the same ones however rows are divided over devices.

  On one device the result equals that of Flax's `nn.Dropout`, bit for bit.

  Attributes:
    rate: The probability that an element is dropped.
    broadcast_dims: Axes along which all elements are dropped or kept together.
    deterministic: Whether dropout is off, where the call does not set it.
    rows: Whether the first axis is the batch axis.
  """
  rate: float
  broadcast_dims: tuple[int, ...] = ()
  deterministic: bool | None = None
  rows: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, deterministic: bool | None = None
               ) -> jax.Array:
    """Returns `x` with some elements 0 and the others scaled up."""
    if nn.merge_param('deterministic', self.deterministic, deterministic) or (
        not self.rate):
      return x
    shape = [1 if axis in self.broadcast_dims else size
             for axis, size in enumerate(x.shape)]
    keep = draws.bernoulli(self.make_rng('dropout'), 1 - self.rate, shape,
                           ('rows',) if self.rows else ())
    return jnp.where(jnp.broadcast_to(keep, x.shape), x / (1 - self.rate),
                     jnp.zeros_like(x))


def flat(x: jax.Array) -> jax.Array:
  """Reshapes an array of vectors to a matrix, [B * T, D], for a product.

  Where both rows and tokens are divided over devices, the shape is unchanged:
  no device has consecutive rows of the matrix, so XLA would gather the tokens.
  """
  return x if placement.axes('tokens') else x.reshape(-1, x.shape[-1])


class Embedding(nn.Module):
  """A table of vectors, which is also the tied output layer.

  Ids should be in [0, size), which the data pipeline checks on the host. On the
  device an id outside this range gives NaN rather than another id's vector.
  """
  size: int
  features: int
  policy: Policy

  def setup(self):
    self.embedding = kernels.parameter(
        self, 'embedding', self.policy.initializer(),
        (self.size, self.features))

  def __call__(self, ids_BT: jax.Array) -> jax.Array:
    """Returns the vectors of the ids, `x_BTD`, in the compute dtype."""
    if not jnp.issubdtype(ids_BT.dtype, jnp.integer):
      raise errors.InputError(
          'Ids of tokens, types and positions should be integers; got an array '
          f'of {ids_BT.dtype}: convert it with astype(int).')
    # Negative ids would count from the end of the table.
    ids_BT = jnp.where(ids_BT < 0, self.size, ids_BT)
    return placement.tokens(
        kernels.rows(self.embedding, ids_BT, self.policy.dtype))

  def logits(self, x_BTD: jax.Array) -> jax.Array:
    """Returns the float32 products of `x_BTD` with every row, `logits_BTV`."""
    logits = kernels.product(flat(x_BTD), self.embedding, self.policy.dtype,
                             transposed=True, wide=True)
    return logits.reshape(x_BTD.shape[:-1] + (self.size,))


class Head(nn.Module):
  """A linear map to float32 logits, with its own (untied) parameters."""
  size: int
  policy: Policy
  use_bias: bool = False

  @nn.compact
  def __call__(self, x_BTD: jax.Array) -> jax.Array:
    """Returns float32 `logits_BTV`, or `logits_BC` for an `x_BD`."""
    kernel_DV = kernels.parameter(
        self, 'kernel', self.policy.initializer(),
        (x_BTD.shape[-1], self.size))
    logits = kernels.product(
        flat(x_BTD), kernel_DV, self.policy.dtype, wide=True)
    if self.use_bias:
      bias_V = self.param('bias', nn.initializers.zeros, (self.size,))
      logits += _along_last(bias_V, logits.ndim)
    return logits.reshape(x_BTD.shape[:-1] + (self.size,))


@dataclasses.dataclass(frozen=True)
@ranges.checked
class LayerNorm:
  """Normalises to zero mean and unit variance, then scales and shifts.

  Attributes:
    epsilon: Added to the variance.
    bias: Whether there is a parameter that is added.
    scale: Whether there is a parameter that is multiplied with; OLMo has none.

  References:
    Ba et al., Layer Normalization, arXiv:1607.06450; Groeneveld et al., OLMo,
    arXiv:2402.00838, section 2.1 (without parameters).
  """
  epsilon: ranges.Positive = 1e-5
  bias: bool = True
  scale: bool = True

  def build(self, name: str | None = None) -> nn.Module:
    return _LayerNorm(self, name=name)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class RMSNorm:
  """Divides by the root mean square, then scales.

  Attributes:
    epsilon: Added to the mean square.
    around_one: Whether the parameter is the scale's difference from 1, as in
      Gemma's released weights; weight decay then pulls the scale towards 1.
    axes: How many trailing axes are normed together; 2 norms the queries or
      keys of all heads at once, as in OLMo 2.

  References:
    Zhang and Sennrich, Root Mean Square Layer Normalization, arXiv:1910.07467;
    OLMo Team, 2 OLMo 2 Furious, arXiv:2501.00656, section 2.
  """
  epsilon: ranges.Positive = 1e-6
  around_one: bool = False
  axes: Annotated[int, ranges.Range(
      1, 2, note='2 is for all heads at once.')] = 1

  def build(self, name: str | None = None) -> nn.Module:
    return _RMSNorm(self, name=name)


Norm = LayerNorm | RMSNorm


class _LayerNorm(nn.Module):
  config: LayerNorm

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    wide = x.astype(jnp.float32)
    # Two passes: E[x^2] - E[x]^2 loses all precision when the mean is large.
    wide -= jnp.mean(wide, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(wide), axis=-1, keepdims=True)
    wide *= jax.lax.rsqrt(variance + self.config.epsilon)
    if self.config.scale:
      wide *= _along_last(self.param(
          'scale', nn.initializers.ones, x.shape[-1:]), x.ndim)
    if self.config.bias:
      wide += _along_last(self.param(
          'bias', nn.initializers.zeros, x.shape[-1:]), x.ndim)
    return wide.astype(x.dtype)


class _RMSNorm(nn.Module):
  config: RMSNorm

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    config, shape = self.config, x.shape[-self.config.axes:]
    wide = x.astype(jnp.float32)
    square = jnp.mean(jnp.square(wide), keepdims=True,
                      axis=tuple(range(-config.axes, 0)))
    wide *= jax.lax.rsqrt(square + config.epsilon)
    if config.around_one:
      scale = 1.0 + self.param('scale', nn.initializers.zeros, shape)
    else:
      scale = self.param('scale', nn.initializers.ones, shape)
    return (wide * _along_last(scale, x.ndim)).astype(x.dtype)


def _along_last(vector: jax.Array, ndim: int) -> jax.Array:
  return vector.reshape((1,) * (ndim - vector.ndim) + vector.shape)


Activation = Literal['gelu', 'gelu_tanh', 'relu', 'silu', 'squared_relu']
ACTIVATIONS: dict[Activation, Callable[[jax.Array], jax.Array]] = {
    'gelu': lambda x: jax.nn.gelu(x, approximate=False),
    'gelu_tanh': lambda x: jax.nn.gelu(x, approximate=True),
    'relu': jax.nn.relu,
    'silu': jax.nn.silu,
    'squared_relu': lambda x: jnp.square(jax.nn.relu(x)),
}


@dataclasses.dataclass(frozen=True)
@ranges.checked
class MLPConfig:
  """A position-wise feed-forward network.

  Attributes:
    hidden: Width F of the hidden layer.
    activation: The non-linearity; 'gelu' is the exact (erf) GELU, 'gelu_tanh'
      its approximation.
    gated: Whether a second projection multiplies the activation: this is SwiGLU
      with 'silu', GeGLU with 'gelu'.
    bias: Whether the projections have biases.
    dropout: Dropout rate on the hidden layer, after the activation, as in T5.

  References:
    Shazeer, GLU Variants Improve Transformer, arXiv:2002.05202, eq. 6; Raffel
    et al., T5, arXiv:1910.10683, section 2.1 (dropout).
  """
  hidden: ranges.Count = 512
  activation: Activation = 'gelu_tanh'
  gated: bool = False
  bias: bool = True
  dropout: ranges.Rate = 0.0

  mixture = None  # Not a mixture of experts: each token uses all parameters.

  def build(self, policy: Policy, name: str | None = None) -> nn.Module:
    return MLP(self, policy, name=name)


class MLP(nn.Module):
  """Expands to F, applies the non-linearity, and projects back to D."""
  config: MLPConfig
  policy: Policy

  @nn.compact
  def __call__(self, x_BTD: jax.Array, train: bool = False,
               segments_BT: jax.Array | None = None) -> jax.Array:
    del segments_BT  # Tokens do not interact; padding's output is not used.
    config, policy = self.config, self.policy
    h_BTF = ACTIVATIONS[config.activation](
        Dense(config.hidden, policy, config.bias, name='in')(x_BTD))
    if config.gated:
      h_BTF *= Dense(config.hidden, policy, config.bias, name='gate')(x_BTD)
    h_BTF = Dropout(config.dropout, deterministic=not train)(h_BTF)
    return Dense(x_BTD.shape[-1], policy, config.bias, policy.residual_std,
                 name='out')(h_BTF)
