"""Scaled dot-product attention: one signature, one implementation per platform.

Every implementation has the signature of `plain`, so a model can use any of
them, or your own: `config.build(attend=my_attend)`.
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
  """Attends with the fastest implementation that supports the arguments.

  The arguments and the result are the same as for `plain`. A GPU uses cuDNN's
  fused kernel and a TPU uses splash attention where dtype, sizes and options
  allow it. A CPU skips most of the logits that causal order masks. All other
  cases use `plain`. On a mesh each device attends for its own rows and heads,
  or its own tokens: see `divided`.

  Args:
    q_BTNH: Queries, as in `plain`.
    k_BSKH: Keys.
    v_BSKH: Values.
    mask: Which keys each query may see.
    platform: 'cpu', 'gpu' or 'tpu'; None means the default backend.
    **options: The other arguments of `plain`.
  """
  masks.check(mask)
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
  """Attends from T queries to S keys with two matrix products and a softmax.

  Args:
    q_BTNH: Queries, N heads of size H.
    k_BSKH: Keys. K heads, where K divides N: K = N is multi-head attention,
      K = 1 is multi-query attention.
    v_BSKH: Values.
    mask: Which keys each query may see. A query that sees no key gets an
      arbitrary finite average, so the loss should not count it.
    bias_BNTS: Added to the logits; its B may be 1.
    scale: Multiplier on the logits; by default H ** -0.5.
    softcap: If given, logits become softcap * tanh(logits / softcap).
    dropout: Rate at which attention weights are dropped.
    dropout_rng: Key for the dropout; None leaves dropout off.

  Returns:
    The values averaged by attention, `out_BTNH`, in the dtype of the values.
    Logits and softmax are float32, whatever the dtype of the operands.

  References:
    Vaswani et al., Attention Is All You Need, arXiv:1706.03762, eq. 1;
    Ainslie et al., GQA, arXiv:2305.13245.
  """
  masks.check(mask)
  d = shapes.bind(q_BTNH=q_BTNH, k_BSKH=k_BSKH, v_BSKH=v_BSKH)
  if d.N % d.K:
    raise ValueError(f'{d.N} query heads do not divide into {d.K} key heads.')
  logits_BKGTS = _logits(q_BTNH, k_BSKH, mask, bias_BNTS, scale, softcap)
  # We divide by the softmax's sum after the second product, where each query
  # has H numbers instead of S, in the forward and the backward pass.
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
  """Returns the attention weights of `plain`, float32 `weights_BNTS`.

  The arguments are the same as for `plain`.
  """
  logits_BKGTS = _logits(q_BTNH, k_BSKH, mask, bias_BNTS, scale, softcap)
  shape = (len(q_BTNH), q_BTNH.shape[2], *logits_BKGTS.shape[3:])
  return jax.nn.softmax(logits_BKGTS).reshape(shape)


def averaged(weights_BNTS: jax.Array, v_BSKH: jax.Array) -> jax.Array:
  """Returns the average of the values under given weights, `out_BTNH`."""
  v_BSNH = jnp.repeat(
      v_BSKH, weights_BNTS.shape[1] // v_BSKH.shape[2], axis=2)
  return jnp.einsum('BNTS,BSNH->BTNH', weights_BNTS, v_BSNH,
                    preferred_element_type=jnp.float32).astype(v_BSKH.dtype)


def _logits(q_BTNH, k_BSKH, mask, bias_BNTS, scale, softcap):
  """Returns the float32 logits of `plain`; masked ones have the lowest value.
  """
  d = shapes.bind(q_BTNH=q_BTNH, k_BSKH=k_BSKH)
  q_BTNH = q_BTNH * jnp.asarray(
      d.H**-0.5 if scale is None else scale, q_BTNH.dtype)
  # Batch axes come first and T comes second to last, as in the logits: with
  # any other order XLA transposes an array of size T * S.
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
  """Attends one block of queries at a time, only to keys up to its last query.

  The arguments and the result are the same as for `plain`. With 4 blocks this
  skips 3/8 of the work. The mask must be causal and over the tokens themselves
  (`mask.square`).
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
  """Attends with cuDNN's fused kernel; same arguments and result as `plain`."""
  del softcap, dropout, dropout_rng  # `_cudnn_able` refuses all of these.
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
  """Returns a version of `function(operands, rest)` that `vmap` loops over.

  JAX's batching rule for cuDNN's kernel does not support a mask that all heads
  share. Pipeline stages are a batch axis, and each device has one stage, so the
  loop has one iteration per device. The backward pass recomputes the forward
  pass.
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
  """Attends with the TPU's splash kernel; same arguments and result as `plain`.
  """
  del bias_BNTS, dropout, dropout_rng  # `_splash_able` refuses all of these.
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
  k_BNSH, v_BNSH = (  # The kernel needs one key head per query head.
      jnp.repeat(jnp.swapaxes(x, 1, 2), d.N // d.K, axis=1)
      for x in (k_BSKH, v_BSKH))
  out_BNTH = jax.vmap(kernel)(q_BNTH, k_BNSH, v_BNSH, segments)
  return jnp.swapaxes(out_BNTH, 1, 2)


def _blocked_able(q_BTNH, k_BSKH, mask, **_) -> bool:
  return mask.square and mask.causal and q_BTNH.shape[1] >= 256


def _by_index(mask) -> bool:
  """Returns whether visibility depends only on the order of the tokens."""
  return (mask.square and mask.query_segments_BT is None
          and mask.extra_BTS is None and mask.window is None)


def _cudnn_able(q_BTNH, k_BSKH, mask, *, bias_BNTS=None, softcap=None,
                dropout=0.0, dropout_rng=None, **_) -> bool:
  half = q_BTNH.dtype in (jnp.bfloat16, jnp.float16)
  head_size = q_BTNH.shape[-1]
  dropping = dropout > 0 and dropout_rng is not None
  # With a mask or a bias, cuDNN has a gradient only for even lengths.
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
