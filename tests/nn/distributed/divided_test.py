"""Attention on a mesh equals attention on one device, however it is divided."""
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import placement
from lmjax.nn import attend
from lmjax.nn.distributed import divided
from lmjax.nn import masks
from lmjax.parallel import sharding

B, T, N, K, H = 4, 16, 4, 2, 8


def draw(length=T, seed=0):
  draws = np.random.default_rng(seed)
  shapes = ((B, T, N, H), (B, length, K, H), (B, length, K, H), (B, T, N, H))
  return [draws.normal(size=shape).astype(np.float32) for shape in shapes]


def packed(causal=True):
  """Rows of two documents, the first of other length in each, and padding."""
  first = np.array([[3], [9], [16], [1]])
  place = np.arange(T)[None]
  segments = np.where(place < first, 1, np.where(place < 14, 2, 0))
  positions = np.where(place < first, place, place - first)
  return masks.make(
      positions.astype(np.int32), segments.astype(np.int32), causal=causal)


def values_and_gradients(function, arrays, mask):
  *qkv, weights = arrays
  seen = jnp.any(mask.dense(), axis=-1)[:, :, None, None]  # Others: anything.
  loss = lambda *qkv: jnp.sum(
      jnp.where(seen, function(*qkv, mask) * weights, 0))
  out = jnp.where(seen, function(*qkv, mask), 0)
  return out, jax.grad(loss, argnums=(0, 1, 2))(*qkv)


def undivided(arrays, mask, **options):
  """Returns what one device computes."""
  return jax.jit(functools.partial(
      values_and_gradients, functools.partial(attend.plain, **options)))(
          arrays, mask)


def on_mesh(sizes, **options):
  """Returns a decorator: a function of arrays, traced on a mesh."""
  sizes = sharding.parse(sizes)
  shape = tuple(sizes.values())
  mesh = jax.sharding.Mesh(
      np.array(jax.devices()[:np.prod(shape)]).reshape(shape), sharding.AXES,
      axis_types=(jax.sharding.AxisType.Auto,) * len(shape))

  def wrap(function):
    def inside(*args):
      with placement.divided(mesh, sharding.LOGICAL, **options):
        return function(*args)
    return jax.jit(inside)
  return wrap


slowly = functools.partial(pytest.param, marks=pytest.mark.slow)


@pytest.mark.parametrize('sizes', [
    slowly('data:2,tensor:2'), slowly('sequence:4'),
    'data:2,sequence:2,tensor:2'])
@pytest.mark.parametrize('mask, options', [
    (packed(), {}), slowly(packed(causal=False), {}),
    slowly(masks.of_length(T), dict(softcap=5.0, scale=0.3)),
    (packed().replace(window=4), {})],
    ids=['packed', 'both ways', 'one row for all', 'window'])
def test_equals_plain(sizes, mask, options):
  arrays = draw()
  want = undivided(arrays, mask, **options)
  got = on_mesh(sizes)(functools.partial(
      values_and_gradients, functools.partial(attend.best, **options)))(
          arrays, mask)
  jax.tree.map(functools.partial(
      np.testing.assert_allclose, rtol=1e-5, atol=1e-5), got, want)


@pytest.mark.parametrize('sizes', [
    'data:2,sequence:2,tensor:2', slowly('sequence:4'), slowly('sequence:2')])
@pytest.mark.parametrize('options', [
    {}, dict(dropout=0.5, dropout_rng=jax.random.key(1))],
                         ids=['plain', 'dropout'])
def test_heads_may_be_exchanged_for_tokens(sizes, options):
  arrays, mask = draw(), packed()
  want = undivided(arrays, mask, **options)
  got = on_mesh(sizes, sequence='ulysses')(functools.partial(
      values_and_gradients, functools.partial(attend.best, **options)))
  jax.tree.map(functools.partial(
      np.testing.assert_allclose, rtol=1e-5, atol=1e-5),
               got(arrays, mask), want)
  text = got.lower(arrays, mask).compile().as_text()
  assert ' all-to-all(' in text and ' collective-permute(' not in text


def test_an_exchange_leaves_whole_rows_to_the_kernel():
  def kernel(q_BTNH, k_BSKH, v_BSKH, mask, **_):
    assert q_BTNH.shape == (B, T, N // 2, H) and mask.square
    return q_BTNH

  *qkv, _ = draw()
  on_mesh('sequence:2', sequence='ulysses')(
      functools.partial(divided.attention, kernel))(*qkv, masks.of_length(T))


@pytest.mark.slow
def test_keys_may_be_of_another_text():
  arrays, where = draw(length=8), np.zeros((B, T), np.int32)
  mask = masks.Mask(where, where[:, :8], where + 1, np.tril(
      np.ones((B, 8), np.int32), 4), causal=False)
  want = undivided(arrays, mask)
  got = on_mesh('data:2,sequence:2')(functools.partial(
      values_and_gradients, attend.best))(arrays, mask)
  jax.tree.map(functools.partial(
      np.testing.assert_allclose, rtol=1e-5, atol=1e-5), got, want)


def test_a_bias_is_divided_with_the_heads():
  q_BTNH, k_BSKH, v_BSKH, _ = draw()
  bias_BNTS = np.random.default_rng(9).normal(size=(1, N, T, T)).astype(
      np.float32)
  mask = packed()
  best = functools.partial(attend.best, mask=mask, bias_BNTS=bias_BNTS)
  got = on_mesh('data:2,tensor:2')(best)(q_BTNH, k_BSKH, v_BSKH)
  want = jax.jit(attend.plain)(
      q_BTNH, k_BSKH, v_BSKH, mask, bias_BNTS=bias_BNTS)
  np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
  with pytest.raises(errors.InputError, match='no bias'):
    on_mesh('sequence:2')(best)(q_BTNH, k_BSKH, v_BSKH)


@pytest.mark.parametrize('sizes', ['tensor:4', 'sequence:3', 'data:3'])
def test_what_does_not_divide_is_left_to_the_compiler(sizes):
  *qkv, _ = draw()  # 2 key heads, 16 tokens, 4 rows.
  mask = packed()
  got = on_mesh(sizes)(attend.best)(*qkv, mask)
  np.testing.assert_allclose(
      got, jax.jit(attend.plain)(*qkv, mask), rtol=1e-5, atol=1e-5)


def test_each_device_attends_with_its_rows_and_heads_alone():
  seen = []

  def spy(q_BTNH, k_BSKH, v_BSKH, mask, **options):
    seen.append((q_BTNH.shape, k_BSKH.shape, mask.query_segments_BT.shape))
    return attend.plain(q_BTNH, k_BSKH, v_BSKH, mask, **options)

  *qkv, _ = draw()
  on_mesh('data:4,tensor:2')(functools.partial(
      divided.attention, spy))(*qkv, packed())
  assert set(seen) == {((1, T, 2, H), (1, T, 1, H), (1, T))}


def test_a_divided_sequence_is_dealt_for_equal_work():
  seen = []

  def spy(q_BTNH, k_BSKH, v_BSKH, mask, **options):
    del k_BSKH, v_BSKH, options
    seen.append(mask)
    place_BT = mask.query_positions_BT
    return jnp.broadcast_to(
        place_BT[:, :, None, None], q_BTNH.shape).astype(jnp.float32)

  class Spy:
    axis = 'sequence'
    __call__ = staticmethod(spy)

  *qkv, _ = draw()
  def function(q_BTNH, k_BSKH, v_BSKH, mask):
    lies = jax.sharding.PartitionSpec(None, 'sequence')
    def on_device(q_BTNH, k_BSKH, v_BSKH, place_BT):
      mask = masks.make(place_BT)
      out_BTNH = divided.balanced(Spy(), q_BTNH, k_BSKH, v_BSKH, mask)
      dealt_BT = seen[-1].query_positions_BT
      return out_BTNH, dealt_BT
    return placement.mapped(on_device, (lies,) * 4, (lies, lies))(
        q_BTNH, k_BSKH, v_BSKH, mask.query_positions_BT)

  mask = masks.of_length(T)
  out_BTNH, dealt_BT = on_mesh('sequence:4')(function)(*qkv, mask)
  # Back in order, whatever happened meanwhile ...
  np.testing.assert_array_equal(out_BTNH[0, :, 0, 0], np.arange(T))
  # ... which was that all devices' queries see as many keys.
  assert len({int(part.sum()) for part in np.split(dealt_BT[0], 4)}) == 1
  assert not seen[-1].square


@pytest.mark.parametrize('sizes', [
    slowly('data:2,tensor:2'), slowly('sequence:4'),
    'data:2,sequence:2,tensor:2'])
@pytest.mark.parametrize('causal', [True, slowly(False)])
@pytest.mark.slow
def test_dropout_is_drawn_as_on_one_device(sizes, causal):
  arrays, mask = draw(), packed(causal)
  options = dict(dropout=0.5, dropout_rng=jax.random.key(3))
  want = undivided(arrays, mask, **options)
  got = on_mesh(sizes)(functools.partial(
      values_and_gradients, functools.partial(attend.best, **options)))(
          arrays, mask)
  jax.tree.map(functools.partial(
      np.testing.assert_allclose, rtol=1e-5, atol=1e-5), got, want)


def test_scanned_layers_keep_no_masks_of_all_turns():
  q_BTNH = jnp.ones((1, 512, 1, 4))
  mask = masks.of_length(512)

  def loss(q_BTNH):
    layer = lambda x_BTNH, _: (attend.best(x_BTNH, x_BTNH, x_BTNH, mask), None)
    return jnp.sum(jax.lax.scan(layer, q_BTNH, None, length=2)[0])

  trace = str(jax.make_jaxpr(on_mesh('sequence:4')(jax.grad(loss)))(q_BTNH))
  sizes = [np.prod([int(n) for n in shape.split(',')], dtype=int)
           for shape in re.findall(r'\[(\d[\d,]*)\]', trace)]
  # A device's keys meet its queries in pairs of 64 x 64; all of them, at all
  # turns, would be 128 x 512.
  assert 64 * 64 in sizes and max(sizes) < 128 * 512 / 2
