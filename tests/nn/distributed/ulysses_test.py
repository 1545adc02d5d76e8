"""Ulysses attention equals plain attention."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.nn import attend
from lmjax.nn.distributed import collectives
from lmjax.nn.distributed import sequence
from lmjax.nn.distributed import ulysses
from lmjax.nn import masks

B, T, N, H = 2, 16, 4, 8
WHERE = {
    'positions': np.array([[*range(9), *range(5), 0, 0],
                           [*range(3), *range(13)]], np.int32),
    'segments': np.array([[1] * 9 + [2] * 5 + [0] * 2,
                          [1] * 3 + [2] * 13], np.int32)}


def draw(kv_heads):
  keys = jax.random.split(jax.random.key(0), 3)
  return WHERE | {
      name: np.asarray(2 * jax.random.normal(key, (B, T, count, H)))
      for key, name, count in zip(keys, 'qkv', (N, kv_heads, kv_heads))}


def gradient(attention, window=None, **options):
  def differentiated(batch):
    mask = masks.make(batch['positions'], batch['segments'])
    def total(qkv):
      out = attention(
          qkv['q'], qkv['k'], qkv['v'], mask.replace(window=window), **options)
      out = jnp.where(batch['segments'][:, :, None, None] > 0, out, 0)
      return jnp.sum(jnp.sin(out)), out
    return jax.grad(total, has_aux=True)({k: batch[k] for k in 'qkv'})
  return differentiated


def on_devices(batch, attention, count, zigzag=False, **options):
  out = jax.pmap(gradient(attention, **options), axis_name='sequence',
                 devices=jax.devices()[:count])(
                     sequence.split(batch, count, zigzag=zigzag))
  return jax.tree.map(
      lambda x: sequence.join(np.asarray(x), zigzag=zigzag), out)


def assert_close(got, want):
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), got, want)


@pytest.mark.parametrize('kv_heads, count, zigzag, in_order, options', [
    (4, 4, True, False, {}), (2, 4, False, True, dict(window=4)),
    (1, 2, False, False, dict(softcap=2.0, scale=0.5))])
def test_ulysses_is_plain(kv_heads, count, zigzag, in_order, options):
  batch = draw(kv_heads)
  want = jax.jit(gradient(attend.plain, **options))(batch)
  got = on_devices(
      batch, ulysses.Ulysses(attend.best, in_order=in_order), count, zigzag,
      **options)
  assert_close(got, want)


def test_ulysses_runs_in_the_groups_of_one_pmap_axis():
  axes = collectives.grid('devices', data=2, sequence=2)
  parts = sequence.split(draw(2), 2)
  rows = {k: x.swapaxes(0, 1).reshape(4, 1, *x.shape[2:])
          for k, x in parts.items()}
  got = jax.pmap(
      gradient(ulysses.Ulysses(attend.best, axes['sequence'])),
      axis_name='devices', devices=jax.devices()[:4])(rows)
  got = jax.tree.map(lambda x: sequence.join(
      np.asarray(x).reshape(2, 2, *x.shape[2:]).swapaxes(0, 1)), got)
  assert_close(got, jax.jit(gradient(attend.plain))(draw(2)))


def test_the_arithmetic_is_handed_whole_rows():
  def attention(q, k, v, mask, *, dropout, **_):
    assert q.shape == (B, T, N // 2, H) and k.shape == (B, T, 1, H)
    assert mask.square == in_order and dropout == 0.5
    return q

  for in_order in (True, False):
    def on_each_device(batch):
      return ulysses.Ulysses(attention, in_order=in_order)(
          batch['q'], batch['k'], batch['v'],
          masks.make(batch['positions'], batch['segments']), dropout=0.5,
          dropout_rng=jax.random.key(0))
    jax.pmap(on_each_device, axis_name='sequence',
             devices=jax.devices()[:2])(sequence.split(draw(2), 2))


@pytest.mark.slow
def test_dropout_is_that_of_one_device():
  options = dict(dropout=0.5, dropout_rng=jax.random.key(1))
  got = jax.pmap(
      gradient(ulysses.Ulysses(attend.best), **options), axis_name='sequence',
      devices=jax.devices()[:2])(sequence.split(draw(2), 2))
  got = jax.tree.map(sequence.join, got)
  assert_close(got, jax.jit(gradient(attend.plain, **options))(draw(2)))


def test_arrays_are_exchanged_and_only_their_places_gathered():
  text = jax.pmap(
      gradient(ulysses.Ulysses(attend.best)), axis_name='sequence',
      devices=jax.devices()[:4]).lower(
          sequence.split(draw(4), 4)).compile().as_text()
  assert text.count(' all-to-all(') == 8  # Four forward, four backward.
  gathers = [line for line in text.splitlines() if ' all-gather(' in line]
  assert gathers and all('= s32[' in line for line in gathers)


@pytest.mark.parametrize('kv_heads, count, nearest', [(4, 8, 4), (2, 3, 2)])
def test_heads_that_do_not_divide_are_refused(kv_heads, count, nearest):
  q, k = jnp.zeros((count, 1, 2, N, H)), jnp.zeros((count, 1, 2, kv_heads, H))
  with pytest.raises(errors.InputError, match=f'{count} devices.* {nearest}. '):
    jax.pmap(lambda q, k: ulysses.Ulysses(attend.best)(
        q, k, k, masks.of_length(2)),
             axis_name='sequence', devices=jax.devices()[:count])(q, k)


def test_biases_and_extra_conditions_are_refused():
  q = jnp.zeros((2, 1, 2, N, H))
  with pytest.raises(errors.InputError, match='choose Rotary'):
    jax.pmap(lambda q: ulysses.Ulysses(attend.best)(
        q, q, q, masks.of_length(2), bias_BNTS=jnp.zeros((1, N, 2, 2))),
             axis_name='sequence', devices=jax.devices()[:2])(q)
