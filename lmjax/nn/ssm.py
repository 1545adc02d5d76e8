"""A recurrent mixer with a matrix-valued state per head: the gated delta rule.

Its cost is linear in the number of tokens, and the size of its cache is
constant. It takes the place of `attention.Attention` in a block.
"""
from collections.abc import Callable
import dataclasses

from flax import struct
import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.nn import attend as attend_lib
from lmjax.nn import kernels
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions as positions_lib


@struct.dataclass
class Cache:
  """The state after the tokens read so far, of constant size.

  Attributes:
    state_BNHJ: The state of each head, which maps keys H to values J, float32.
    inputs_BTC: The convolution's inputs at the last real tokens, which the
      next tokens still need.
  """
  state_BNHJ: jax.Array
  inputs_BTC: jax.Array


@dataclasses.dataclass(frozen=True)
@ranges.checked
class SSMConfig:
  """Gated DeltaNet: a state-space mixer that overwrites stored values.

  With keys and queries of length 1, token t updates the state S of a head and
  reads it as

    S_t = a_t (S_{t-1} - b_t k_t k_t^T S_{t-1}) + b_t k_t v_t^T,
    y_t = S_t^T q_t,

  where a_t = exp(-exp(A) softplus(w x_t + dt)) in (0, 1) is the forget gate and
  b_t = sigmoid(u x_t) is the write gate. Before this, a causal convolution
  mixes each channel of q, k and v over the last tokens; after it, each head's
  output is normed and gated. The state is 0 at the start of every document
  (position 0), and padding does not change it. Without the delta rule's
  subtraction this is Mamba-2.

  Attributes:
    num_heads: Number of heads N.
    head_size: Size H of keys and values; None means width / N.
    convolution: Tokens that the convolution sees, including the current one.
    chunk: Tokens computed at once; affects the speed, not the result.
    gated: Whether the output is multiplied by silu of a projection.

  References:
    Yang et al., Gated Delta Networks, arXiv:2412.06464, eq. 10 and section 3;
    Dao and Gu, Mamba-2, arXiv:2405.21060 (decay, its initial values).
  """
  num_heads: ranges.Count = 4
  head_size: ranges.Count | None = None
  convolution: ranges.Count = 4
  chunk: ranges.Count = 64
  gated: bool = True

  attends = False  # It always reads from left to right.

  def size(self, width: int) -> int:
    """The size H of a head in a model of this width."""
    if self.head_size is None and width % self.num_heads:
      raise errors.InputError(
          f'model.width = {width} does not divide into mixer.num_heads = '
          f'{self.num_heads} heads; change one, or set mixer.head_size.')
    return self.head_size or width // self.num_heads

  def empty_cache(self, batch: int, length: int, width: int, dtype) -> Cache:
    """Returns a cache for `batch` rows, of any length."""
    del length
    size = self.size(width)
    return Cache(
        jnp.zeros((batch, self.num_heads, size, size), jnp.float32),
        jnp.zeros((batch, self.convolution - 1, 3 * self.num_heads * size),
                  dtype))

  def build(self, policy: layers.Policy, positions: positions_lib.Positions,
            attend: Callable[..., jax.Array] = attend_lib.best,
            name: str | None = None) -> nn.Module:
    del attend  # There is no attention.
    return SSM(self, policy, positions, name=name)


class SSM(nn.Module):
  """The mixer of `SSMConfig`, with the signature of `attention.Attention`."""
  config: SSMConfig
  policy: layers.Policy
  positions: positions_lib.Positions = positions_lib.NoPositions()

  @nn.compact
  def __call__(self, x_BTD: jax.Array, mask: masks.Mask,
               bias_BNTS: jax.Array | None = None, cache: Cache | None = None,
               slots_B: jax.Array | None = None, train: bool = False
               ) -> tuple[jax.Array, Cache | None]:
    """Reads `x_BTD` from left to right, starting from the state in the cache.

    Args:
      x_BTD: The hidden states of the tokens; the tokens of a document are
        contiguous.
      mask: Positions and documents of the tokens, in causal order.
      bias_BNTS: Must be None, since there are no attention logits.
      cache: The state after earlier tokens, or None.
      slots_B: Ignored: a state has no slots.
      train: Ignored: there is no dropout.

    Returns:
      The output of the branch, `out_BTD`, and the cache after the T tokens.

    Raises:
      InputError: If the mask or the positions need attention.
    """
    del slots_B, train
    _check(mask, bias_BNTS)
    config, policy = self.config, self.policy
    d = shapes.bind(x_BTD=x_BTD)
    size, heads = config.size(d.D), config.num_heads
    positions_BT = jnp.broadcast_to(mask.query_positions_BT, (d.B, d.T))
    real_BT = jnp.ones((d.B, d.T), bool)
    if mask.query_segments_BT is not None:
      real_BT &= mask.query_segments_BT > 0

    inputs_BTC = jnp.concatenate([
        layers.Dense(heads * size, policy, False, name=name)(x_BTD)
        for name in ('query', 'key', 'value')], axis=-1)
    before_BTC = None if cache is None else cache.inputs_BTC
    mixed_BTC, before_BTC = _Convolution(
        config.convolution, name='convolution')(
            inputs_BTC, before_BTC, positions_BT, real_BT)
    q_BTNH, k_BTNH, v_BTNH = (
        x.reshape(d.B, d.T, heads, size)
        for x in jnp.split(nn.silu(mixed_BTC), 3, axis=-1))
    q_BTNH, k_BTNH = (
        self.positions.rotate(_unit(x), positions_BT) for x in (q_BTNH, k_BTNH))

    decay_BTN, write_BTN = _Gates(heads, policy, name='gates')(x_BTD)
    write_BTN *= real_BT[..., None]
    decay_BTN *= real_BT[..., None]
    state = None if cache is None else cache.state_BNHJ
    y_BTNH, state = delta_rule(
        q_BTNH, k_BTNH, v_BTNH, decay_BTN, write_BTN,
        real_BT & (positions_BT == 0), state, chunk=config.chunk)

    y_BTNH = layers.RMSNorm().build('norm')(y_BTNH.astype(policy.dtype))
    y_BTC = y_BTNH.reshape(d.B, d.T, -1)
    if config.gated:
      y_BTC *= nn.silu(layers.Dense(heads * size, policy, False, name='gate')(
          x_BTD))
    out_BTD = layers.Dense(
        d.D, policy, False, policy.residual_std, name='out')(y_BTC)
    return out_BTD, None if cache is None else Cache(state, before_BTC)


def delta_rule(
    q_BTNH: jax.Array, k_BTNH: jax.Array, v_BTNJ: jax.Array,
    decay_BTN: jax.Array, write_BTN: jax.Array, starts_BT: jax.Array,
    state_BNHJ: jax.Array | None = None, *, chunk: int = 64,
) -> tuple[jax.Array, jax.Array]:
  """Updates and reads each head's state, token by token.

  Within a chunk, the values to write are the solution of a triangular system,
  so all tokens of the chunk are computed with matrix products. The state is
  passed from chunk to chunk.

  Args:
    q_BTNH: Queries.
    k_BTNH: Keys, of length 1.
    v_BTNJ: Values.
    decay_BTN: log a_t, at most 0; a_t is the fraction of the state that stays.
    write_BTN: b_t in [0, 1], the fraction of the old value that is replaced.
    starts_BT: Whether the state is set to 0 before a token.
    state_BNHJ: The state before the first token; None means zeros.
    chunk: Tokens computed at once.

  Returns:
    `y_BTNJ` and the state after the last token, both float32.

  References:
    Yang et al., Gated Delta Networks, arXiv:2412.06464, section 3.3.
  """
  d = shapes.bind(
      q_BTNH=q_BTNH, k_BTNH=k_BTNH, v_BTNJ=v_BTNJ, decay_BTN=decay_BTN,
      write_BTN=write_BTN, starts_BT=starts_BT, state_BNHJ=state_BNHJ)
  size = min(chunk, d.T)
  count = -(-d.T // size)

  def cut(x):  # [B, T, ...] to [chunks, B, size, ...]; padding does nothing.
    x = jnp.pad(x, [(0, 0), (0, count * size - d.T)] + [(0, 0)] * (x.ndim - 2))
    return jnp.moveaxis(x.reshape(d.B, count, size, *x.shape[2:]), 1, 0)

  wide = (x.astype(jnp.float32)
          for x in (q_BTNH, k_BTNH, v_BTNJ, decay_BTN, write_BTN))
  if state_BNHJ is None:
    state_BNHJ = jnp.zeros((d.B, d.N, d.H, d.J), jnp.float32)
  state_BNHJ, y = jax.lax.scan(
      _chunk, state_BNHJ, tuple(map(cut, (*wide, starts_BT))))
  y_BTNJ = jnp.moveaxis(y, 0, 1).reshape(d.B, count * size, d.N, d.J)
  return y_BTNJ[:, :d.T], state_BNHJ


def _chunk(state_BNHJ, piece):
  """Returns the state after a chunk, and the outputs of the chunk.

  Axis T indexes the tokens that read and S the tokens that write, both of the
  same chunk. The log-decay at the start of a document would be -inf, so
  document boundaries are tracked separately from the decay.
  """
  q_BTNH, k_BTNH, v_BTNJ, decay_BTN, write_BTN, starts_BT = piece
  document_BT = jnp.cumsum(starts_BT, axis=1)
  log_BNT = jnp.cumsum(jnp.swapaxes(
      jnp.where(starts_BT[..., None], 0.0, decay_BTN), 1, 2), axis=2)
  index_T = jnp.arange(starts_BT.shape[1])
  seen_BTS = ((index_T[:, None] >= index_T[None])[None]
              & (document_BT[:, :, None] == document_BT[:, None]))
  kept_BNTS = jnp.exp(jnp.where(
      seen_BTS[:, None], log_BNT[..., None] - log_BNT[:, :, None], -jnp.inf))
  kept_BTN = jnp.swapaxes(jnp.exp(log_BNT), 1, 2) * (
      document_BT == 0)[..., None]  # The decay of the state before the chunk.

  # Each token writes its value minus the value already stored for its key.
  overlap_BNTS = jnp.einsum('BTNH,BSNH->BNTS', k_BTNH, k_BTNH) * kept_BNTS
  overlap_BNTS *= (index_T[:, None] > index_T[None])[None, None]
  write_BNT1 = jnp.swapaxes(write_BTN, 1, 2)[..., None]
  held_BTNJ = jnp.einsum(
      'BTNH,BNHJ->BTNJ', k_BTNH, state_BNHJ) * kept_BTN[..., None]
  new_BNTJ = jnp.swapaxes(v_BTNJ - held_BTNJ, 1, 2) * write_BNT1
  system_BNTS = overlap_BNTS * write_BNT1 + jnp.eye(len(index_T))[None, None]
  u_BNSJ = jax.scipy.linalg.solve_triangular(
      system_BNTS, new_BNTJ, lower=True, unit_diagonal=True)

  read_BNTS = jnp.einsum('BTNH,BSNH->BNTS', q_BTNH, k_BTNH) * kept_BNTS
  y_BTNJ = jnp.einsum('BNTS,BNSJ->BTNJ', read_BNTS, u_BNSJ) + jnp.einsum(
      'BTNH,BNHJ->BTNJ', q_BTNH, state_BNHJ) * kept_BTN[..., None]
  last_BNS = kept_BNTS[:, :, -1]
  state_BNHJ = state_BNHJ * kept_BTN[:, -1, :, None, None] + jnp.einsum(
      'BSNH,BNSJ->BNHJ', k_BTNH, u_BNSJ * last_BNS[..., None])
  return state_BNHJ, y_BTNJ


class _Convolution(nn.Module):
  """A causal filter per channel, which sees only tokens of the same document.
  """
  width: int

  @nn.compact
  def __call__(self, x_BTC, before_BTC, positions_BT, real_BT):
    d = shapes.bind(x_BTC=x_BTC, positions_BT=positions_BT, real_BT=real_BT)
    reach = self.width - 1
    kernel = kernels.array(kernels.parameter(
        self, 'kernel', nn.initializers.normal(self.width**-0.5),
        (self.width, d.C)), x_BTC.dtype)
    if before_BTC is None:
      before_BTC = jnp.zeros((d.B, reach, d.C))
    long_BTC = jnp.concatenate([before_BTC.astype(x_BTC.dtype), x_BTC], axis=1)
    out_BTC = jnp.zeros_like(x_BTC)
    for back in range(self.width):
      past_BTC = jax.lax.slice_in_dim(
          long_BTC, reach - back, reach - back + d.T, axis=1)
      out_BTC += kernel[back][None, None] * jnp.where(
          (positions_BT >= back)[..., None], past_BTC, 0)
    # Keep the last real tokens: a stable sort puts padding first.
    real_BS = jnp.concatenate([jnp.ones((d.B, reach), bool), real_BT], axis=1)
    order_BS = jnp.argsort(real_BS, axis=1, stable=True)[:, d.T:]
    return out_BTC, jnp.take_along_axis(long_BTC, order_BS[..., None], axis=1)


class _Gates(nn.Module):
  """The gates of each head at each token: log a_t and b_t of `SSMConfig`."""
  num_heads: int
  policy: layers.Policy

  @nn.compact
  def __call__(self, x_BTD):
    step_BTN = layers.Dense(
        self.num_heads, self.policy, False, name='step')(x_BTD)
    bias_N = self.param('bias', _step_bias, (self.num_heads,))
    rate_N = self.param('rate', _rate, (self.num_heads,))
    write_BTN = layers.Dense(
        self.num_heads, self.policy, False, name='write')(x_BTD)
    step_BTN = nn.softplus(step_BTN.astype(jnp.float32) + bias_N[None, None])
    return (-jnp.exp(rate_N)[None, None] * step_BTN,
            nn.sigmoid(write_BTN.astype(jnp.float32)))


def _step_bias(key, shape):
  """Returns biases whose softplus is log-uniform in [0.001, 0.1]."""
  step = jnp.exp(jax.random.uniform(
      key, shape, minval=jnp.log(0.001), maxval=jnp.log(0.1)))
  return step + jnp.log(-jnp.expm1(-step))


def _rate(key, shape):
  """Returns the logarithms of rates that are uniform in [1, 16]."""
  return jnp.log(jax.random.uniform(key, shape, minval=1.0, maxval=16.0))


def _unit(x_BTNH: jax.Array) -> jax.Array:
  wide = x_BTNH.astype(jnp.float32)
  square = jnp.sum(jnp.square(wide), axis=-1, keepdims=True)
  return wide * jax.lax.rsqrt(square + 1e-6)


def _check(mask: masks.Mask, bias_BNTS) -> None:
  if not mask.causal:
    raise errors.InputError(
        'A recurrent mixer reads from left to right only; set '
        '--config.model.causal=True, or choose AttentionConfig.')
  if bias_BNTS is not None or mask.extra_BTS is not None:
    raise errors.InputError(
        'A recurrent mixer has no attention logits to bias or mask; choose '
        'NoPositions, Learned, Sinusoidal or Rotary as --config.model.'
        'positions.kind, or AttentionConfig.')
