"""Attention on a mesh: each device attends for its own rows, heads and tokens.

XLA does not divide two cases well by itself: it would run a fused kernel on all
rows and heads on every device, and it would gather the keys of a divided
sequence. This module divides both explicitly.
"""
from collections.abc import Callable
import functools
import math

import jax
import jax.numpy as jnp

from lmjax.core import draws
from lmjax.core import placement
from lmjax.core import shapes
from lmjax.nn.distributed import collectives
from lmjax.nn.distributed import ring
from lmjax.nn.distributed import sequence
from lmjax.nn.distributed import ulysses
from lmjax.nn import masks

Attend = Callable[..., jax.Array]


def attention(attend: Attend, q_BTNH: jax.Array, k_BSKH: jax.Array,
              v_BSKH: jax.Array, mask: masks.Mask, *,
              bias_BNTS: jax.Array | None = None, dropout: float = 0.0,
              dropout_rng: jax.Array | None = None, **options) -> jax.Array:
  """Attends with `attend`, divided over the devices of the mesh.

  If tokens are divided, the keys are sent round a ring (`ring.Ring`), with the
  tokens permuted so that all devices have equal work under a causal mask. If
  the mesh has sequence='ulysses', heads are exchanged for tokens instead
  (`ulysses.Ulysses`), so that `attend` gets whole rows. Without a mesh this
  only calls `attend`.

  Args:
    attend: The implementation of attention on one device. It takes the
      remaining arguments, which are the same as for `attend.plain`.
    q_BTNH: Queries.
    k_BSKH: Keys.
    v_BSKH: Values.
    mask: Which keys each query may see.
    bias_BNTS: Added to the logits.
    dropout: Rate at which attention weights are dropped.
    dropout_rng: Key for the dropout.
    **options: Other arguments of `attend.plain`.
  """
  d = shapes.bind(q_BTNH=q_BTNH, k_BSKH=k_BSKH, v_BSKH=v_BSKH)
  tokens = placement.axes('tokens')
  divides = placement.axes('tokens', math.gcd(d.T, d.S)) == tokens
  if placement.current() is None or not divides:
    return attend(q_BTNH, k_BSKH, v_BSKH, mask, bias_BNTS=bias_BNTS,
                  dropout=dropout, dropout_rng=dropout_rng, **options)
  # If key heads do not divide, no heads are divided: size 1 uses no axis.
  heads = d.N if d.K % placement.count('heads') == 0 else 1
  here = attend
  if tokens and placement.current().sequence == 'ulysses':
    here = ulysses.Ulysses(attend, tokens[0], in_order=True)
  elif tokens:
    here = functools.partial(balanced, ring.Ring(tokens[0]))

  chance = None if dropout_rng is None else (
      dropout_rng, draws.here('rows', d.B))

  def on_device(q_BTNH, k_BSKH, v_BSKH, mask, bias_BNTS, chance):
    dropout_rng, rows = chance or (None, None)
    with draws.divided(rows=rows, heads=placement.axes('heads', heads)):
      return here(q_BTNH, k_BSKH, v_BSKH, mask, bias_BNTS=bias_BNTS,
                  dropout=dropout, dropout_rng=dropout_rng, **options)

  lies = placement.spec
  queries = lies(rows=d.B, tokens=d.T, heads=heads)
  keys = lies(rows=d.B, tokens=d.S, heads=heads)
  return placement.mapped(
      on_device,
      (queries, keys, keys, _of_mask(mask), None if bias_BNTS is None else lies(
          rows=bias_BNTS.shape[0], heads=heads, tokens=bias_BNTS.shape[2]),
       None if chance is None else (lies(), lies(rows=d.B))),
      queries)(q_BTNH, k_BSKH, v_BSKH, mask, bias_BNTS, chance)


def balanced(attend: Attend, q_BTNH: jax.Array, k_BSKH: jax.Array,
             v_BSKH: jax.Array, mask: masks.Mask, **options) -> jax.Array:
  """Attends over tokens in order, which it permutes for equal work.

  This is called on each device. The permutation sends each half of a device's
  tokens once, while the ring sends keys once for every device.

  Args:
    attend: A `ring.Ring`, or a function with the same arguments.
    q_BTNH: Queries, as in `ring.Ring`.
    k_BSKH: Keys.
    v_BSKH: Values.
    mask: Positions and segments of this device's tokens.
    **options: Other arguments of `ring.Ring`.
  """
  axis = collectives.named(attend.axis)
  places = tuple(
      axis.index() * size + jnp.arange(size)[None]
      for size in (q_BTNH.shape[1], k_BSKH.shape[1]))
  if not mask.causal or q_BTNH.shape[1] % 2 or k_BSKH.shape[1] % 2:
    return attend(q_BTNH, k_BSKH, v_BSKH, mask, places=places, **options)
  q_BTNH, k_BSKH, v_BSKH, mask, places = sequence.deal(
      (q_BTNH, k_BSKH, v_BSKH, mask.replace(square=False), places), axis)
  return sequence.collect(attend(
      q_BTNH, k_BSKH, v_BSKH, mask, places=places, **options), axis)


def _of_mask(mask):
  """Returns the partition specs of a mask's arrays, as a mask."""
  def lies(x_BT, *names):
    return None if x_BT is None else placement.spec(
        **dict(zip(names, x_BT.shape)))
  rows_and_tokens = 'rows', 'tokens'
  return mask.replace(
      query_positions_BT=lies(mask.query_positions_BT, *rows_and_tokens),
      key_positions_BS=lies(mask.key_positions_BS, *rows_and_tokens),
      query_segments_BT=lies(mask.query_segments_BT, *rows_and_tokens),
      key_segments_BS=lies(mask.key_segments_BS, *rows_and_tokens),
      extra_BTS=lies(mask.extra_BTS, *rows_and_tokens, 'keys'))
