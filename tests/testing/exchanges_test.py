"""What is read off a compiled program is what its code exchanges."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.testing import exchanges

P = jax.sharding.PartitionSpec
MESH = jax.sharding.Mesh(
    np.array(jax.devices()).reshape(2, 4), ('a', 'b'),
    axis_types=(jax.sharding.AxisType.Auto,) * 2)


def of(function, *shapes):
  """Returns the exchanges of a function that runs on each of 2 x 4 devices."""
  mapped = jax.jit(jax.shard_map(
      function, mesh=MESH, in_specs=P(('a', 'b')), out_specs=P(('a', 'b')),
      check_vma=False))
  text = mapped.lower(*(jnp.zeros((8 * shape[0], *shape[1:])) for shape in (
      shapes))).compile().as_text()
  return exchanges.of_step(text, 8)


@pytest.mark.parametrize('axes, devices', [
    ('a', 2), ('b', 4), (('a', 'b'), 8)])
def test_an_all_reduce_sends_its_bytes_nearly_twice(axes, devices):
  found, = of(lambda x: jax.lax.psum(x, axes), (3, 5))
  assert found == exchanges.Exchange('all-reduce', ((3, 5),), 60, devices, 1)
  assert found.sent == pytest.approx(2 * 60 * (devices - 1) / devices)


@pytest.mark.parametrize('function, shape, kind, came, sent', [
    (lambda x: jnp.sum(jax.lax.all_gather(x, 'b', tiled=True)) + x, (2, 3),
     'all-gather', (8, 3), 3 * 24),
    (lambda x: jax.lax.psum_scatter(x, 'b', tiled=True), (8, 3),
     'reduce-scatter', (2, 3), 3 * 24),
    (lambda x: jax.lax.ppermute(x, 'b', [(i, (i + 1) % 4) for i in range(4)]),
     (2, 3), 'collective-permute', (2, 3), 24)])
def test_sent_bytes_by_hand(function, shape, kind, came, sent):
  found, = of(function, shape)
  assert (found.kind, found.shapes) == (kind, (came,))
  assert found.sent == pytest.approx(sent)


def test_an_all_to_all_keeps_the_own_share():
  found, = of(lambda x: jax.lax.all_to_all(x, 'b', 0, 1, tiled=True), (8, 3))
  assert found.kind == 'all-to-all' and found.devices == 4
  assert found.sent == pytest.approx(8 * 3 * 4 * 3 / 4)


def test_loops_in_loops_multiply():
  def turn(x):
    return jax.lax.ppermute(x, 'b', [(i, (i + 1) % 4) for i in range(4)])

  def function(x):
    inner = lambda _, x: jnp.sin(turn(x))
    return jax.lax.fori_loop(0, 5, lambda _, x: jax.lax.fori_loop(
        0, 3, inner, jnp.cos(x)), turn(x))

  found = of(function, (2,))
  assert sorted(each.times for each in found) == [1, 15]


def test_a_single_device_exchanges_nothing():
  mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), 'a')
  one = jax.jit(jax.shard_map(
      functools.partial(jax.lax.psum, axis_name='a'), mesh=mesh,
      in_specs=P('a'), out_specs=P()))
  text = one.lower(jnp.zeros(3)).compile().as_text()
  assert exchanges.of_step(text, 1) == []


@pytest.mark.parametrize('groups, devices', [
    ('replica_groups={{0,1,2},{3,4,5}}', 3), ('replica_groups=[2,4]<=[8]', 4),
    ("replica_groups=mesh['x'=2,'y'=4] {'x','y'}", 8),
    ("replica_groups=mesh['x'=2,'y'=4], device_ids=([4,2]T(1,0)) {'y'}", 4),
    ("replica_groups=mesh['x'=8] {'x':(2)4}", 4), ('replica_groups={}', 6)])
def test_every_notation_of_groups_is_read(groups, devices):
  text = ('ENTRY %main (p: f32[4]) -> f32[4] {\n'
          f'  %x = bf16[4]{{0}} all-reduce(%p), {groups}, to_apply=%add\n}}')
  found, = exchanges.of_step(text, 6)
  assert (found.devices, found.size) == (devices, 8)


def test_asynchronous_exchanges_count_once():
  text = '\n'.join([
      'ENTRY %main (p: f32[4]) -> f32[8] {',
      '  %s = (f32[4]{0}, f32[8]{0}) all-gather-start(%p), '
      'replica_groups={{0,1}}', '  %d = f32[8]{0} all-gather-done(%s)', '}'])
  found, = exchanges.of_step(text, 2)
  assert (found.kind, found.shapes) == ('all-gather', ((8,),))
