"""Scaled dot-product attention: one signature, an implementation a platform.

Every implementation has the signature of `plain`, so a model can be handed any
of them, or a researcher's own: `config.build(attend=my_attend)`.
"""
import functools

import jax
import jax.numpy as jnp

from lmjax.core import draws
from lmjax.core import placement
from lmjax.core import shapes
from lmjax.nn.distributed import divided
from lmjax.nn import masks


def best(q_BTNH, k_BSKH, v_BSKH, mask, *, platform: str | None = None,
         **options) -> jax.Array:
  """Attends by the fastest implementation that is right for the platform.

  Same arguments and result as `plain`. A GPU takes cuDNN's fused kernel and a
  TPU splash attention where dtype, sizes and options allow, a CPU skips most of
  what causal order hides; all else is plain. On a mesh each device does so for
  its rows and heads, or its tokens: see `divided`.

  Args:
    q_BTNH: See `plain`, as for all that follows.
    k_BSKH: See there.
    v_BSKH: See there.
    mask: See there.
    platform: 'cpu', 'gpu' or 'tpu'; None: the one it runs on.
    **options: See there.
  """
  return divided.attention(
      functools.partial(_best, platform), q_BTNH, k_BSKH, v_BSKH, mask,
      **options)


def _best(platform, q_BTNH, k_BSKH, v_BSKH, mask, **options):
  platform = platform or jax.default_backend()
  for implementation, able in _FUSED.get(platform, ()):
    if able(q_BTNH, k_BSKH, mask, **options):
      return implementation(q_BTNH, k_BSKH, v_BSKH, mask, **options)
  return plain(q_BTNH, k_BSKH, v_BSKH, mask, **options)


def plain(
    q_BTNH: jax.Array,
    k_BSKH: jax.Array,
    v_BSKH: jax.Array,
    mask: masks.Mask,
    *,
    bias_BNTS: jax.Array | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    dropout: float = 0.0,
    dropout_rng: jax.Array | None = None,
) -> jax.Array:
  """Attends from T queries to S keys by two matrix products and a softmax.

  Args:
    q_BTNH: Queries, N heads of size H.
    k_BSKH: Keys, K heads with K dividing N: N is multi-head, 1 multi-query.
    v_BSKH: Values.
    mask: Which keys each query may see. A query that sees none gets some
      finite average, which no loss should count.
    bias_BNTS: Added to the logits; its B may be 1.
    scale: Multiplier on the logits; by default H ** -0.5.
    softcap: If given, logits become softcap * tanh(logits / softcap).
    dropout: Rate at which attention weights are dropped.
    dropout_rng: Key for the dropout; None leaves dropout off.

  Returns:
    The values averaged by attention, `out_BTNH`, in the dtype of the values.
    Logits and softmax are float32 whatever the operands are.

  References:
    Vaswani et al., Attention Is All You Need, arXiv:1706.03762, eq. 1;
    Ainslie et al., GQA, arXiv:2305.13245.
  """
  d = shapes.bind(q_BTNH=q_BTNH, k_BSKH=k_BSKH, v_BSKH=v_BSKH)
  if d.N % d.K:
    raise ValueError(f'{d.N} query heads do not divide into {d.K} key heads.')
  logits_BKGTS = _logits(q_BTNH, k_BSKH, mask, bias_BNTS, scale, softcap)
  # The softmax's division waits until after the second product, where there
  # are H numbers a query instead of S, forward and backward.
  largest_BKGT1 = jax.lax.stop_gradient(
      jnp.max(logits_BKGTS, axis=-1, keepdims=True))
  weights_BKGTS = jnp.exp(logits_BKGTS - largest_BKGT1)
  total_BKGT1 = jnp.sum(weights_BKGTS, axis=-1, keepdims=True)
  if dropout and dropout_rng is not None:
    keep_BKGTS = draws.bernoulli(
        dropout_rng, 1 - dropout, weights_BKGTS.shape,
        draws.ATTENTION)
    weights_BKGTS = jnp.where(keep_BKGTS, weights_BKGTS / (1 - dropout), 0)
  out_BKGTH = jnp.einsum(
      'BKGTS,BSKH->BKGTH', weights_BKGTS.astype(v_BSKH.dtype), v_BSKH,
      preferred_element_type=jnp.float32) / total_BKGT1
  out_BTKGH = jnp.moveaxis(out_BKGTH.astype(v_BSKH.dtype), 3, 1)
  return out_BTKGH.reshape(d.B, d.T, d.N, d.H)


def weights(q_BTNH, k_BSKH, mask, *, bias_BNTS=None, scale=None, softcap=None
            ) -> jax.Array:
  """Returns what `plain` averages by, float32 `weights_BNTS`, for who asks.

  Arguments as there.
  """
  logits_BKGTS = _logits(q_BTNH, k_BSKH, mask, bias_BNTS, scale, softcap)
  shape = (len(q_BTNH), q_BTNH.shape[2], *logits_BKGTS.shape[3:])
  return jax.nn.softmax(logits_BKGTS).reshape(shape)


def averaged(weights_BNTS: jax.Array, v_BSKH: jax.Array) -> jax.Array:
  """Returns values averaged by given weights, `out_BTNH`."""
  v_BSNH = jnp.repeat(
      v_BSKH, weights_BNTS.shape[1] // v_BSKH.shape[2], axis=2)
  return jnp.einsum('BNTS,BSNH->BTNH', weights_BNTS, v_BSNH,
                    preferred_element_type=jnp.float32).astype(v_BSKH.dtype)


def _logits(q_BTNH, k_BSKH, mask, bias_BNTS, scale, softcap):
  """Returns the logits of `plain`, float32, lowest where nothing is seen."""
  d = shapes.bind(q_BTNH=q_BTNH, k_BSKH=k_BSKH)
  q_BTNH = q_BTNH * jnp.asarray(
      d.H**-0.5 if scale is None else scale, q_BTNH.dtype)
  # Batch axes lead and T comes last but one, as in the logits: in any other
  # order XLA transposes what is T times S large.
  q_BKGTH = jnp.moveaxis(
      q_BTNH.reshape(d.B, d.T, d.K, d.N // d.K, d.H), 1, 3)
  logits_BKGTS = jnp.einsum('BKGTH,BSKH->BKGTS', q_BKGTH, k_BSKH,
                            preferred_element_type=jnp.float32)
  if bias_BNTS is not None:
    logits_BKGTS += jnp.broadcast_to(
        bias_BNTS, (d.B,) + bias_BNTS.shape[1:]).reshape(logits_BKGTS.shape)
  if softcap is not None:
    logits_BKGTS = softcap * jnp.tanh(logits_BKGTS / softcap)
  return jnp.where(mask.dense()[:, None, None], logits_BKGTS,
                   jnp.finfo(jnp.float32).min)


def blocked(q_BTNH, k_BSKH, v_BSKH, mask, *, bias_BNTS=None, dropout_rng=None,
            blocks=4, **options) -> jax.Array:
  """Attends a quarter of the queries at a time, to no key that lies after it.

  Arguments and result as in `plain`, of which it skips 3/8 of the work. Only
  for a causal mask over the tokens themselves (`mask.square`).
  """
  length, out = q_BTNH.shape[1], []
  size = -(-length // blocks)
  for start in range(0, length, size):
    stop = min(start + size, length)
    with draws.divided(
        queries=draws.Places(jnp.arange(start, stop), length),
        keys=draws.Places(jnp.arange(stop), length)):
      out.append(plain(
          q_BTNH[:, start:stop], k_BSKH[:, :stop], v_BSKH[:, :stop],
          mask.part(start, stop),
          bias_BNTS=None if bias_BNTS is None else (
              bias_BNTS[:, :, start:stop, :stop]),
          dropout_rng=dropout_rng, **options))
  return jnp.concatenate(out, axis=1)


def cudnn(q_BTNH, k_BSKH, v_BSKH, mask, *, bias_BNTS=None, scale=None,
          softcap=None, dropout=0.0, dropout_rng=None) -> jax.Array:
  """Attends by cuDNN's fused kernel; arguments and result as in `plain`."""
  del softcap, dropout, dropout_rng  # `_cudnn_able` admits none of them.
  by_index = _by_index(mask)

  def attend(operands, mask_B1TS):
    q_BTNH, k_BSKH, v_BSKH, bias_BNTS = operands
    return jax.nn.dot_product_attention(
        q_BTNH, k_BSKH, v_BSKH, bias=bias_BNTS, mask=mask_B1TS, scale=scale,
        is_causal=mask.causal and by_index, implementation='cudnn')

  if placement.count('layers') > 1:
    attend = _one_at_a_time(attend)
  return attend((q_BTNH, k_BSKH, v_BSKH, bias_BNTS),
                None if by_index else mask.dense()[:, None])


def _one_at_a_time(function):
  """Returns `function(operands, rest)`, which `vmap` calls in a loop.

  JAX's rule for a batch of cuDNN's kernels takes no mask that heads share. Of
  stages, which are a batch, each device has one: its loop has one turn. The
  backward pass computes the forward one again.
  """
  alone = jax.custom_batching.sequential_vmap
  run = jax.custom_vjp(alone(function))

  @alone
  def gradient(kept, out):
    operands, rest = kept
    return jax.vjp(lambda operands: function(operands, rest), operands)[1](out)

  run.defvjp(lambda *args: (run(*args), args),
             lambda kept, out: (*gradient(kept, out), None))
  return run


def splash(q_BTNH, k_BSKH, v_BSKH, mask, *, bias_BNTS=None, scale=None,
           softcap=None, dropout=0.0, dropout_rng=None,
           interpret=False) -> jax.Array:
  """Attends by the TPU's splash kernel; arguments and result as in `plain`."""
  del bias_BNTS, dropout, dropout_rng  # `_splash_able` admits none of them.
  from jax.experimental.pallas.ops.tpu import splash_attention as splash_lib
  d = shapes.bind(q_BTNH=q_BTNH, k_BSKH=k_BSKH, v_BSKH=v_BSKH)
  if not mask.causal:
    shape = splash_lib.FullMask((d.T, d.S))
  elif mask.window is not None:
    shape = splash_lib.LocalMask((d.T, d.S), (mask.window - 1, 0), 0)
  else:
    shape = splash_lib.CausalMask((d.T, d.S))
  kernel = splash_lib.make_splash_mha(
      splash_lib.MultiHeadMask([shape] * d.N), head_shards=1, q_seq_shards=1,
      attn_logits_soft_cap=softcap, interpret=interpret)
  segments = None
  if mask.query_segments_BT is not None:
    segments = splash_lib.SegmentIds(
        mask.query_segments_BT, mask.key_segments_BS)
  q_BNTH = jnp.swapaxes(q_BTNH, 1, 2) * jnp.asarray(
      d.H**-0.5 if scale is None else scale, q_BTNH.dtype)
  k_BNSH, v_BNSH = (  # The kernel wants a key head for every query head.
      jnp.repeat(jnp.swapaxes(x, 1, 2), d.N // d.K, axis=1)
      for x in (k_BSKH, v_BSKH))
  out_BNTH = jax.vmap(kernel)(q_BNTH, k_BNSH, v_BNSH, segments)
  return jnp.swapaxes(out_BNTH, 1, 2)


def _blocked_able(q_BTNH, k_BSKH, mask, **_) -> bool:
  return mask.square and mask.causal and q_BTNH.shape[1] >= 256


def _by_index(mask) -> bool:
  """Returns whether the order of tokens alone says who sees whom."""
  return (mask.square and mask.query_segments_BT is None
          and mask.extra_BTS is None and mask.window is None)


def _cudnn_able(q_BTNH, k_BSKH, mask, *, bias_BNTS=None, softcap=None,
                dropout=0.0, dropout_rng=None, **_) -> bool:
  half = q_BTNH.dtype in (jnp.bfloat16, jnp.float16)
  head_size = q_BTNH.shape[-1]
  dropping = dropout > 0 and dropout_rng is not None
  # The gradient under a mask or a bias is there for even lengths alone.
  even = q_BTNH.shape[1] % 2 == k_BSKH.shape[1] % 2 == 0
  return (half and head_size % 8 == 0 and head_size <= 128 and not dropping
          and softcap is None and q_BTNH.shape[1] > 1
          and (even or bias_BNTS is None and _by_index(mask)))


def _splash_able(q_BTNH, k_BSKH, mask, *, bias_BNTS=None, dropout=0.0,
                 dropout_rng=None, **_) -> bool:
  dropping = dropout > 0 and dropout_rng is not None
  windowed = mask.window is not None
  return (mask.square and mask.extra_BTS is None and bias_BNTS is None
          and not dropping and (mask.causal or not windowed)
          and q_BTNH.shape[1] % 128 == 0 and k_BSKH.shape[1] % 128 == 0
          and q_BTNH.shape[-1] % 64 == 0)


_FUSED = {
    'cpu': ((blocked, _blocked_able),),
    'gpu': ((cudnn, _cudnn_able),),
    'tpu': ((splash, _splash_able),),
}
