"""Ring attention: a sequence too long for one device, divided over several.

Each device holds a block of the tokens and computes the attention of its
queries. The blocks of keys and values are sent round the ring of devices, so
that all queries meet all keys. No device ever holds more than two blocks.
"""
from collections.abc import Callable
import dataclasses
import functools
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp

from lmjax.core import draws
from lmjax.core import errors
from lmjax.core import shapes
from lmjax.nn.distributed import collectives
from lmjax.nn import masks


@dataclasses.dataclass(frozen=True)
class Ring:
  """An `attend` for a sequence divided over the devices of an axis.

  When called on each device inside `pmap` or `shard_map`, its results and
  gradients equal those of `attend.plain` on the undivided sequence. The
  backward pass sends keys and values round again instead of keeping them, so
  memory per device falls as the number of devices grows.

  The mask depends only on positions and segments, so tokens may be in any order
  (`sequence.into_zigzag` balances the work of causal attention). Positions must
  be positions in the document, not in the block. Pass them to the model with
  `masks.make(positions_BT, segments_BT)`; a model's default mask covers only
  its own block.

  Each device then computes the loss of its own tokens, and its part of the
  gradient of the sum of all losses. Summed over the axis, as in
  `train_step(axis_name=...)`, these equal the loss and the gradient of the
  undivided sequence. Use this for training and scoring; generation with a cache
  uses one device.

  Attributes:
    axis: The axis that divides the sequence: its name, or one of the groups
      that `collectives.grid` lays over it.
    block: Approximate number of queries and keys computed at a time. Pairs of
      blocks in which no query may see a key are skipped.

  References:
    Liu et al., Ring Attention with Blockwise Transformers, arXiv:2310.01889;
    Brandon et al., Striped Attention, arXiv:2311.09431 (balance); Dao,
    FlashAttention-2, arXiv:2307.08691, algorithms 1 and 2 (the arithmetic).

  Example:
    >>> from lmjax.nn import masks
    >>> from lmjax.nn.distributed import sequence
    >>> batch = {'positions': jnp.arange(16)[None],
    ...          'x': jax.random.normal(jax.random.key(0), (1, 16, 2, 4))}
    >>> ring = Ring('sequence')
    >>> def on_each_device(batch):  # Where a model has `attend=ring`.
    ...   x_BTNH = batch['x']
    ...   return ring(x_BTNH, x_BTNH, x_BTNH, masks.make(batch['positions']))
    >>> count = jax.local_device_count()
    >>> out = jax.pmap(on_each_device, axis_name='sequence')(
    ...     sequence.split(batch, count, zigzag=True))
    >>> sequence.join(out, zigzag=True).shape
    (1, 16, 2, 4)
  """
  axis: str | collectives.Axis = 'sequence'
  block: int = 512

  def __post_init__(self):
    if self.block < 1:
      raise errors.InputError(
          f'Ring.block should be at least 1 token; got {self.block}.')

  def __call__(self, q_BTNH: jax.Array, k_BSKH: jax.Array, v_BSKH: jax.Array,
               mask: masks.Mask, *, bias_BNTS: jax.Array | None = None,
               scale: float | None = None, softcap: float | None = None,
               dropout: float = 0.0, dropout_rng: jax.Array | None = None,
               places: tuple[jax.Array, jax.Array] | None = None
               ) -> jax.Array:
    """Attends from this device's T queries to the S keys of every device.

    Args:
      q_BTNH: This device's block of queries; see `attend.plain`.
      k_BSKH: This device's block of keys.
      v_BSKH: This device's block of values.
      mask: Positions and segments of the block.
      bias_BNTS: Must be None, as its size would be quadratic in all tokens.
      scale: See `attend.plain`.
      softcap: See `attend.plain`.
      dropout: See `attend.plain`.
      dropout_rng: See `attend.plain`.
      places: Indices of the queries, [1, T], and of the keys, [1, S], in the
        undivided rows. With them dropout equals that of `attend.plain` on one
        device; without, it depends on the number of devices.

    Returns:
      The block's `out_BTNH`; 0 for a query that may see no key.
    """
    d = shapes.bind(q_BTNH=q_BTNH, k_BSKH=k_BSKH, v_BSKH=v_BSKH)
    if d.N % d.K:
      raise ValueError(f'{d.N} query heads do not divide into {d.K} key heads.')
    check(mask, bias_BNTS)
    if dropout_rng is None:
      dropout = 0.0
    plan = _Plan(collectives.named(self.axis), mask.causal, mask.window,
                 softcap, dropout, _blocks(d.T, self.block),
                 _blocks(d.S, self.block), d.T, d.S)
    q_BTNH = q_BTNH * jnp.asarray(
        d.H**-0.5 if scale is None else scale, q_BTNH.dtype)
    q_BTKGH = q_BTNH.reshape(d.B, d.T, d.K, d.N // d.K, d.H)
    # Query axis last but one, as in the logits; the blocks lead.
    q_XBKGTH = jnp.moveaxis(_cut(q_BTKGH, plan.queries), 2, 4)
    at_queries, at_keys = (None, None) if places is None else places
    where = (
        _cut((mask.query_positions_BT, mask.query_segments_BT, at_queries),
             plan.queries),
        _cut((mask.key_positions_BS, mask.key_segments_BS, at_keys),
             plan.keys))
    out_XBKGTH = _attend(
        plan, q_XBKGTH, *_cut((k_BSKH, v_BSKH), plan.keys), where,
        _Dropout.of(dropout_rng, d.B, d.K) if dropout else None)
    out_XBTKGH = jnp.moveaxis(out_XBKGTH, 4, 2)
    return jnp.moveaxis(out_XBTKGH, 0, 1).reshape(q_BTNH.shape)


def check(mask: masks.Mask, bias_BNTS: jax.Array | None) -> None:
  """Checks that attention depends only on information that all devices have.

  Raises:
    InputError: If there is a bias, or a condition other than positions,
      segments, order and window.
  """
  if bias_BNTS is not None:
    raise errors.InputError(
        'Attention over a divided sequence takes no bias on its logits, as '
        'Alibi and Relative positions make; choose Rotary, Learned, Sinusoidal '
        'or NoPositions.')
  if mask.extra_BTS is not None:
    raise errors.InputError(
        'Attention over a divided sequence supports positions, segments, '
        'causal order and windows, but not `mask.extra_BTS`, which prefix and '
        'permutation objectives use; train these with the sequence whole.')


@dataclasses.dataclass(frozen=True)
class _Plan:
  """The static arguments; `queries` and `keys` are numbers of blocks."""
  axis: collectives.Axis
  causal: bool
  window: int | None
  softcap: float | None
  dropout: float
  queries: int
  keys: int
  query_length: int
  key_length: int


@struct.dataclass
class _Dropout:
  """The dropout key, and the places of the rows and key heads.

  The places are stored, because the backward pass is traced outside the context
  that defines how rows and heads are divided.
  """
  rng: jax.Array
  rows: draws.Places
  heads: draws.Places

  @classmethod
  def of(cls, rng, rows, heads):
    return cls(rng, draws.here('rows', rows), draws.here('heads', heads))


def _blocks(length: int, size: int) -> int:
  """Returns the number of equal blocks to cut into, which is even if possible.

  A block should not mix the two halves of a zigzag, whose tokens are far apart.
  """
  halves = 2 - length % 2
  count = halves * -(-length // (halves * size))
  while length % count:
    count += halves
  return count


def _cut(tree: Any, count: int) -> Any:
  """Returns arrays [B, T, ...] as [count, B, T / count, ...]."""
  return jax.tree.map(lambda x: jnp.moveaxis(
      x.reshape(x.shape[0], count, -1, *x.shape[2:]), 1, 0), tree)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(plan, q_XBKGTH, k_YBSKH, v_YBSKH, where, rng):
  """Returns the attention's output, in blocks like those of its queries."""
  return _forward(plan, q_XBKGTH, k_YBSKH, v_YBSKH, where, rng)[0]


def _forward(plan, q_XBKGTH, k_YBSKH, v_YBSKH, where, rng):
  """Returns the output, and the values that the backward pass needs."""
  (at_queries, at_keys), q_XBKGTH = _not_in_advance(where, q_XBKGTH)

  def zeros(shape, fill=0.0):
    return collectives.varying(
        jnp.full(shape, fill, jnp.float32), q_XBKGTH, k_YBSKH, v_YBSKH, where)

  def visit(query, key, mask_BTS, keep, sums, _):
    logits_BKGTS, _ = _logits(plan, query, key[0])
    mask_BKGTS = mask_BTS[:, None, None]
    largest_BKGT, total_BKGT, sum_BKGTH = sums
    new_BKGT = jnp.maximum(largest_BKGT, jnp.max(
        logits_BKGTS, axis=-1, initial=_LEAST, where=mask_BKGTS))
    weights_BKGTS = jnp.where(
        mask_BKGTS, jnp.exp(logits_BKGTS - new_BKGT[..., None]), 0)
    shrink_BKGT = jnp.exp(largest_BKGT - new_BKGT)
    total_BKGT = total_BKGT * shrink_BKGT + jnp.sum(weights_BKGTS, axis=-1)
    sum_BKGTH = sum_BKGTH * shrink_BKGT[..., None] + jnp.einsum(
        'BKGTS,BSKH->BKGTH', keep(weights_BKGTS).astype(key[1].dtype), key[1],
        preferred_element_type=jnp.float32)
    return (new_BKGT, total_BKGT, sum_BKGTH), ()

  rows = q_XBKGTH.shape[:-1]
  sums = zeros(rows, _LEAST), zeros(rows), zeros(q_XBKGTH.shape)
  (largest_XBKGT, total_XBKGT, sum_XBKGTH), _ = _round(
      plan, (q_XBKGTH, at_queries), ((k_YBSKH, v_YBSKH), at_keys), rng, visit,
      sums, ())
  total_XBKGT = jnp.where(total_XBKGT > 0, total_XBKGT, 1)  # Sees no key.
  out_XBKGTH = (sum_XBKGTH / total_XBKGT[..., None]).astype(v_YBSKH.dtype)
  normalizer_XBKGT = largest_XBKGT + jnp.log(total_XBKGT)
  return out_XBKGTH, (q_XBKGTH, k_YBSKH, v_YBSKH, where, rng, out_XBKGTH,
                      normalizer_XBKGT)


def _backward(plan, kept, gradient_XBKGTH):
  """Returns gradients of `_attend`; gradients of keys travel with the keys."""
  (q_XBKGTH, k_YBSKH, v_YBSKH, where, rng, out_XBKGTH, normalizer_XBKGT) = kept
  (at_queries, at_keys), gradient_XBKGTH = _not_in_advance(
      where, gradient_XBKGTH)
  # The softmax's gradient subtracts each row's weighted mean gradient.
  mean_XBKGT = jnp.einsum('XBKGTH,XBKGTH->XBKGT', gradient_XBKGTH, out_XBKGTH,
                          preferred_element_type=jnp.float32)

  def zeros(x):
    return collectives.varying(
        jnp.zeros(x.shape, jnp.float32), q_XBKGTH, k_YBSKH, v_YBSKH, where,
        gradient_XBKGTH)

  def visit(query, key, mask_BTS, keep, q_sum_BKGTH, key_sums):
    q_BKGTH, gradient_BKGTH, normalizer_BKGT, mean_BKGT = query
    k_BSKH, v_BSKH = key
    product = functools.partial(
        jnp.einsum, preferred_element_type=jnp.float32)
    logits_BKGTS, slope_BKGTS = _logits(plan, q_BKGTH, k_BSKH)
    weights_BKGTS = jnp.where(mask_BTS[:, None, None], jnp.exp(
        logits_BKGTS - normalizer_BKGT[..., None]), 0)
    change_BKGTS = keep(
        product('BKGTH,BSKH->BKGTS', gradient_BKGTH, v_BSKH))
    change_BKGTS = (weights_BKGTS * (change_BKGTS - mean_BKGT[..., None])
                    * slope_BKGTS).astype(k_BSKH.dtype)
    weights_BKGTS = keep(weights_BKGTS).astype(v_BSKH.dtype)
    k_sum_BSKH, v_sum_BSKH = key_sums
    return (
        q_sum_BKGTH + product('BKGTS,BSKH->BKGTH', change_BKGTS, k_BSKH),
        (k_sum_BSKH + product('BKGTS,BKGTH->BSKH', change_BKGTS, q_BKGTH),
         v_sum_BSKH + product(
             'BKGTS,BKGTH->BSKH', weights_BKGTS, gradient_BKGTH)))

  q_sum_XBKGTH, (k_sum_YBSKH, v_sum_YBSKH) = _round(
      plan, ((q_XBKGTH, gradient_XBKGTH, normalizer_XBKGT, mean_XBKGT),
             at_queries),
      ((k_YBSKH, v_YBSKH), at_keys), rng, visit, zeros(q_XBKGTH),
      (zeros(k_YBSKH), zeros(v_YBSKH)))
  return (q_sum_XBKGTH.astype(q_XBKGTH.dtype),
          k_sum_YBSKH.astype(k_YBSKH.dtype),
          v_sum_YBSKH.astype(v_YBSKH.dtype), None, None)


def _not_in_advance(where, x):
  """Returns both arguments; makes the first appear to depend on the second.

  Scanned layers all have the same positions, so JAX would compute the masks of
  all turns, which depend only on positions, before the scan. These have the
  size of all queries times all keys.
  """
  return jax.lax.optimization_barrier((where, x))


_attend.defvjp(_forward, _backward)
_LEAST = jnp.finfo(jnp.float32).min


def _logits(plan, q_BKGTH, k_BSKH):
  """Returns the logits, and their derivative by the products q k."""
  logits_BKGTS = jnp.einsum('BKGTH,BSKH->BKGTS', q_BKGTH, k_BSKH,
                            preferred_element_type=jnp.float32)
  if plan.softcap is None:
    return logits_BKGTS, 1.0
  tanh_BKGTS = jnp.tanh(logits_BKGTS / plan.softcap)
  return plan.softcap * tanh_BKGTS, 1 - jnp.square(tanh_BKGTS)


def _round(plan: _Plan, queries: Any, keys: Any, rng: jax.Array | None,
           visit: Callable[..., Any], query_sums: Any, key_sums: Any
           ) -> tuple[Any, Any]:
  """Combines the keys of all devices with this device's queries.

  Args:
    plan: The static arguments.
    queries: Arrays in blocks, and the blocks' positions and segments.
    keys: The same for the keys, which are sent round the ring.
    rng: Dropout keys and places, or None.
    visit: Takes a block of queries, a block of keys, their mask, a function
      that drops weights, and the sums of both blocks; returns the new sums.
    query_sums: The initial sums for each block of queries.
    key_sums: The initial sums for each block of keys, which travel with it.

  Returns:
    Both sums; the key sums are back on the device of their keys.
  """
  axis = plan.axis
  count, index = axis.size, axis.index()

  def meet(turn, keys, query_sums, key_sums):
    source = (index - turn) % count  # The device that these keys came from.
    return _pairs(plan, queries, keys, visit, query_sums, key_sums,
                  functools.partial(_keep, plan, rng, index, source))

  def step(turn, state):
    keys, query_sums, key_sums = state
    following = axis.shift(keys)  # Sent while these keys are used.
    query_sums, key_sums = meet(turn, keys, query_sums, key_sums)
    return following, query_sums, axis.shift(key_sums)

  keys, query_sums, key_sums = jax.lax.fori_loop(
      0, count - 1, step, (keys, query_sums, key_sums))
  query_sums, key_sums = meet(count - 1, keys, query_sums, key_sums)
  return query_sums, axis.shift(key_sums)


def _pairs(plan, queries, keys, visit, query_sums, key_sums, keep):
  """Visits every pair of blocks in which at least one query sees a key."""

  def pair(number, sums):
    i, j = number // plan.keys, number % plan.keys
    query, (positions_BT, segments_BT, place_1T) = _at(queries, i)
    key, (positions_BS, segments_BS, place_1S) = _at(keys, j)
    mask_BTS = masks.Mask(
        positions_BT, positions_BS, segments_BT, segments_BS,
        causal=plan.causal, window=plan.window).dense()
    block_sums = _at(sums[0], i), _at(sums[1], j)
    block_sums = jax.lax.cond(
        jnp.any(mask_BTS),
        lambda sums: visit(
            query, key, mask_BTS,
            functools.partial(keep, i, j, place_1T, place_1S), *sums),
        lambda sums: sums, block_sums)
    return (_put(sums[0], block_sums[0], i), _put(sums[1], block_sums[1], j))

  return jax.lax.fori_loop(
      0, plan.queries * plan.keys, pair, (query_sums, key_sums))


def _at(tree, i):
  return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(
      x, i, keepdims=False), tree)


def _put(tree, new, i):
  return jax.tree.map(lambda x, new: jax.lax.dynamic_update_index_in_dim(
      x, new, i, 0), tree, new)


def _keep(plan, chance, index, source, i, j, place_1T, place_1S,
          weights_BKGTS):
  """Drops weights, the same ones in the forward and the backward pass."""
  if chance is None:
    return weights_BKGTS
  rng = chance.rng
  if place_1T is not None:
    count = plan.axis.size
    with draws.divided(
        rows=chance.rows, heads=chance.heads,
        queries=draws.Places(place_1T[0], count * plan.query_length),
        keys=draws.Places(place_1S[0], count * plan.key_length)):
      keep_BKGTS = draws.bernoulli(
          rng, 1 - plan.dropout, weights_BKGTS.shape, draws.ATTENTION)
    return jnp.where(keep_BKGTS, weights_BKGTS / (1 - plan.dropout), 0)
  rng = jax.random.fold_in(rng, index * plan.queries + i)
  rng = jax.random.fold_in(rng, source * plan.keys + j)
  keep_BKGTS = jax.random.bernoulli(
      rng, 1 - plan.dropout, weights_BKGTS.shape)
  return jnp.where(keep_BKGTS, weights_BKGTS / (1 - plan.dropout), 0)
