"""Ring attention equals plain attention, with 1 / n of the memory."""
import collections
import functools

import jax
from jax.sharding import PartitionSpec as P
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models import decoder
from lmjax.nn import attend
from lmjax.nn import attention as attention_lib
from lmjax.nn import block
from lmjax.nn.distributed import collectives
from lmjax.nn.distributed import ring
from lmjax.nn.distributed import sequence
from lmjax.nn.distributed import ulysses
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions
from lmjax.objectives import lm
from lmjax.testing import compare
from lmjax.testing import hot

B, T, N, H = 2, 32, 4, 8
PACKED = {
    'positions': np.array([[*range(20), *range(9), 0, 0, 0],
                           [*range(5), *range(27)]], np.int32),
    'segments': np.array([[1] * 20 + [2] * 9 + [0] * 3,
                          [1] * 5 + [2] * 27], np.int32)}
WHOLE = {'positions': np.tile(np.arange(T, dtype=np.int32)[None], (B, 1))}


def draw(kv_heads=2, dtype=jnp.float32, length=T, where=PACKED):
  draws = np.random.default_rng(0)
  heads = dict(q=N, k=kv_heads, v=kv_heads, c=N)
  batch = {name: (2 * draws.normal(size=(B, length, count, H))).astype(dtype)
           for name, count in heads.items()}
  return batch | dict(where)


def value(attention, batch, causal=True, window=None, **options):
  """Returns a sum over outputs that some token sees, and the outputs."""
  segments = batch.get('segments')
  mask = masks.make(batch['positions'], segments, causal=causal)
  out = attention(batch['q'], batch['k'], batch['v'],
                  mask.replace(window=window), **options)
  counted = jnp.ones(batch['positions'].shape) if segments is None else (
      segments > 0)
  out = jnp.where(counted[:, :, None, None] > 0, out, 0)
  return jnp.sum(out.astype(jnp.float32) * jnp.cos(
      batch['c'].astype(jnp.float32))), out


def gradient(attention, **options):
  def differentiated(batch):
    floats = {k: x for k, x in batch.items() if k in 'qkv'}
    return jax.grad(lambda floats: value(
        attention, batch | floats, **options), has_aux=True)(floats)
  return differentiated


def around(batch, attention, count=8, zigzag=False, **options):
  """Returns gradients and outputs from `count` devices, put together."""
  mapped = jax.pmap(gradient(attention, **options), axis_name='sequence',
                    devices=jax.devices()[:count])
  return jax.tree.map(
      lambda x: sequence.join(np.asarray(x), zigzag=zigzag),
      mapped(sequence.split(batch, count, zigzag=zigzag)))


def assert_close(got, want, atol=1e-5):
  jax.tree.map(lambda a, b: np.testing.assert_allclose(
      np.asarray(a, np.float32), np.asarray(b, np.float32), atol=atol),
               got, want)


CASES = {
    'causal': (dict(where=WHOLE, kv_heads=4), {}),
    'bidirectional': (dict(kv_heads=1), dict(causal=False)),
    'packed': ({}, {}),
    'windowed': ({}, dict(window=5, softcap=2.0, scale=0.7)),
}


@functools.cache
def plain(name='packed'):
  """Returns what the undivided sequence gives."""
  settings, options = CASES[name]
  return jax.device_get(
      jax.jit(gradient(attend.plain, **options))(draw(**settings)))


@pytest.mark.parametrize('name, zigzag, count', [
    ('bidirectional', False, 4), ('packed', True, 8), ('windowed', True, 4),
    pytest.param('causal', True, 4, marks=pytest.mark.slow),
    pytest.param('windowed', False, 8, marks=pytest.mark.slow),
    pytest.param('packed', False, 1, marks=pytest.mark.slow)])
def test_ring_is_plain(name, zigzag, count):
  settings, options = CASES[name]
  got = around(draw(**settings), ring.Ring(block=2), count, zigzag, **options)
  assert_close(got, plain(name))


@pytest.mark.slow
def test_half_precision_is_as_near_to_float32_as_plain_is():
  half = draw(dtype=jnp.bfloat16)
  true = jax.jit(gradient(attend.plain))(
      {k: jnp.asarray(x, jnp.float32) if k in 'qkvc' else x
       for k, x in half.items()})
  plain = jax.jit(gradient(attend.plain))(half)
  got = around(half, ring.Ring(block=4), 4)
  assert jax.tree.leaves(got)[0].dtype == jnp.bfloat16
  def error(x, want):
    return np.linalg.norm(np.asarray(x, np.float32) - want)
  for x, y, want in zip(*map(jax.tree.leaves, (got, plain, true))):
    assert error(x, want) < 1.2 * error(y, want)


@pytest.mark.parametrize('check_vma', [
    True, pytest.param(False, marks=pytest.mark.slow)])
def test_ring_runs_in_shard_map_beside_a_data_axis(check_vma):
  mesh = jax.make_mesh((2, 4), ('data', 'sequence'),
                       axis_types=(jax.sharding.AxisType.Auto,) * 2)
  batch = sequence.into_zigzag(draw(), 4)
  spec = P('data', 'sequence')
  mapped = jax.jit(jax.shard_map(
      gradient(ring.Ring(block=4)), mesh=mesh, in_specs=(spec,),
      out_specs=spec, check_vma=check_vma))
  grads, out = mapped(batch)
  got = sequence.out_of_zigzag(grads | {'out': out}, 4)
  grads, out = plain()
  assert_close(got, grads | {'out': out})


def test_ring_runs_in_the_groups_of_one_pmap_axis():
  axes = collectives.grid('devices', data=2, sequence=4)
  parts = sequence.split(draw(), 4, zigzag=True)  # [sequence, B, ...]
  rows = {k: x.swapaxes(0, 1).reshape(8, 1, *x.shape[2:])
          for k, x in parts.items()}  # Device 4 i + j: row i, part j.
  got = jax.pmap(gradient(ring.Ring(axes['sequence'], block=4)),
                 axis_name='devices')(rows)
  got = jax.tree.map(lambda x: sequence.join(np.asarray(x).reshape(
      2, 4, *x.shape[2:]).swapaxes(0, 1), zigzag=True), got)
  assert_close(got, plain())


def test_a_query_that_sees_no_key_gets_zero_and_no_gradient():
  batch = draw()
  batch['segments'] = np.zeros_like(batch['segments'])
  mask = lambda b: masks.make(b['positions'], b['segments'])
  def everything(b):
    return jax.value_and_grad(lambda q: jnp.sum(
        1 + ring.Ring()(q, b['k'], b['v'], mask(b))))(b['q'])
  total, grads = jax.pmap(everything, axis_name='sequence')(
      sequence.split(batch, 8))
  assert total.sum() == B * T * N * H
  assert not np.any(grads)


@pytest.mark.parametrize('length, size, count', [
    (8, 512, 2), (1024, 256, 4), (7, 512, 1), (9, 3, 3), (12, 5, 4),
    (10, 4, 10), (1, 8, 1)])
def test_blocks_are_equal_and_keep_the_halves_apart(length, size, count):
  assert ring._blocks(length, size) == count


# -- a whole decoder


@pytest.mark.parametrize('attention, zigzag, scan', [
    ('ring', True, True),
    pytest.param('ulysses', False, False, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_whole_decoder_trains_on_a_divided_sequence(attention, zigzag, scan):
  config = decoder.DecoderConfig(
      vocab_size=11, context=T, width=16, num_layers=2, scan=scan,
      remat='full' if scan else 'none',
      positions=positions.Rotary() if scan else positions.Learned(),
      block=block.PreNorm(
          mlp=layers.MLPConfig(hidden=8), mixer=attention_lib.AttentionConfig(
              num_kv_heads=2, window=7, qk_norm=layers.RMSNorm())))
  attends = dict(ring=ring.Ring(block=2), ulysses=ulysses.Ulysses(
      attend.best))
  params = hot.hot_params(decoder.initial_params(config.build(), 0), std=0.3)
  ids = np.random.default_rng(0).integers(0, 11, (2, B, T))
  batch = PACKED | {
      'inputs': ids[0], 'targets': ids[1],
      'weights': (PACKED['segments'] > 0).astype(np.float32)}

  def gradient(attend, params, batch):
    objective = lm.Causal().build(config.build(attend=attend))
    def total(params):
      loss = objective(params, batch)['loss']
      return loss.total, loss.weight
    return jax.value_and_grad(total, has_aux=True)(params)

  want = jax.jit(functools.partial(gradient, attend.plain))(params, batch)
  got = jax.pmap(  # As `train_step` does: sums over the axis.
      lambda *args: jax.lax.psum(
          gradient(attends[attention], *args), 'sequence'),
      axis_name='sequence', in_axes=(None, 0), devices=jax.devices()[:4])(
          params, sequence.split(batch, 4, zigzag=zigzag))
  got = jax.tree.map(lambda x: np.asarray(x)[0], got)
  np.testing.assert_allclose(got[0], want[0], rtol=1e-5)
  compare.close('The gradient', got[1], want[1], 1e-5, 'See ring attention.')


# -- work: pairs of blocks that are computed, of 16 on each of 8 turns


def visits(monkeypatch, zigzag, **options):
  """Returns how many pairs of blocks each of 8 devices computed."""
  seen = collections.Counter()
  logits = ring._logits

  def counted(plan, q, k):
    jax.debug.callback(lambda i: seen.update([int(i)]), plan.axis.index())
    return logits(plan, q, k)

  monkeypatch.setattr(ring, '_logits', counted)
  batch = sequence.split(draw(where=WHOLE), 8, zigzag=zigzag)
  jax.block_until_ready(jax.pmap(
      lambda batch: value(ring.Ring(), batch, **options),
      axis_name='sequence')(batch))
  jax.effects_barrier()
  return [seen[i] for i in range(8)]


def test_blocks_that_no_query_sees_are_skipped(monkeypatch):
  # Of four pairs of halves: own ones 3, earlier devices' all 4, later's none.
  assert visits(monkeypatch, False) == [3 + 4 * i for i in range(8)]


def test_zigzag_gives_all_devices_equal_work(monkeypatch):
  assert visits(monkeypatch, True) == [17] * 8


def test_blocks_out_of_the_window_are_skipped(monkeypatch):
  assert visits(monkeypatch, False, window=3) == [3] + [4] * 7


# -- the compiled program


def compiled(function, count, length, **options):
  batch = draw(length=length, where={
      'positions': np.tile(np.arange(length, dtype=np.int32)[None], (B, 1))})
  return jax.pmap(function, axis_name='sequence',
                  devices=jax.devices()[:count]).lower(
                      sequence.split(batch, count)).compile()


@pytest.mark.slow
def test_only_neighbouring_devices_exchange_data():
  program = compiled(gradient(ring.Ring()), 4, 64).as_text()
  # Forward keys, values and positions travel; backward the same, and the
  # gradients of keys and values, which are also sent home once.
  assert program.count(' collective-permute(') == 3 + 3 + 2 + 2
  for other in ('all-gather', 'all-reduce', 'all-to-all', 'reduce-scatter'):
    assert other not in program


def memory(attention, count, length):
  """Returns bytes on each device beside arguments and results."""
  found = compiled(gradient(attention), count, length).memory_analysis()
  return found.temp_size_in_bytes


@pytest.mark.slow
def test_memory_of_a_device_falls_as_their_number_grows():
  whole = memory(attend.plain, 1, 2048)
  assert whole > B * N * 2048**2 * 4
  few, many = (memory(ring.Ring(block=16), n, 2048) for n in (2, 8))
  assert few < whole / 128
  assert 3.5 < few / many < 4.2


# -- dropout


def test_dropout_drops_weights_at_its_rate_and_scales_the_rest():
  batch = draw(where=WHOLE, kv_heads=N)
  batch['v'] = np.broadcast_to(  # The output is then the weights themselves.
      np.eye(T, dtype=np.float32)[None, :, None], (B, T, N, T))
  def weights(attention, **options):
    return lambda b: attention(
        jnp.pad(b['q'], [(0, 0)] * 3 + [(0, T - H)]),
        jnp.pad(b['k'], [(0, 0)] * 3 + [(0, T - H)]), b['v'],
        masks.make(b['positions']), **options)
  want = np.asarray(jax.jit(weights(attend.plain))(batch))
  got = sequence.join(np.asarray(jax.pmap(weights(
      ring.Ring(block=2), dropout=0.25, dropout_rng=jax.random.key(0)),
                               axis_name='sequence')(sequence.split(batch, 8))))
  kept = got > 0
  np.testing.assert_allclose(got[kept], want[kept] / 0.75, rtol=1e-5)
  sees = np.broadcast_to(np.tril(np.ones((T, T), bool))[:, None], got.shape[1:])
  share = kept[:, sees].mean()
  assert abs(share - 0.75) < 0.02
  # Every device and turn draws its own: no two queries lose the same keys.
  assert len(np.unique(kept[:, T // 2:, :, :T // 2].reshape(-1, T // 2),
                       axis=0)) > 0.9 * B * N * T / 2


@pytest.mark.slow
def test_the_backward_pass_drops_what_the_forward_pass_dropped():
  options = dict(dropout=0.5, dropout_rng=jax.random.key(1))
  batch = sequence.split(draw(), 4)
  slopes, _ = jax.pmap(gradient(ring.Ring(block=4), **options),
                       axis_name='sequence')(batch)
  values = jax.pmap(lambda b: value(ring.Ring(block=4), b, **options)[0],
                    axis_name='sequence')
  for name in 'qkv':
    way = np.random.default_rng(2).normal(size=batch[name].shape).astype(
        np.float32)
    ahead, behind = (np.asarray(values(batch | {
        name: batch[name] + sign * 1e-2 * way}), np.float64).sum()
                     for sign in (1, -1))
    want = (ahead - behind) / 2e-2
    np.testing.assert_allclose(
        np.sum(np.asarray(slopes[name]) * way), want, rtol=2e-3, atol=0.02)


# -- what is refused


@pytest.mark.parametrize('mask, options, message', [
    ({}, dict(bias_BNTS=jnp.zeros((1, N, 4, 4))), 'choose Rotary'),
    (dict(extra_BTS=jnp.ones((1, 4, 4), bool)), {}, 'extra_BTS')])
def test_biases_and_extra_conditions_are_refused(mask, options, message):
  q = jnp.zeros((1, 4, N, H))
  with pytest.raises(errors.InputError, match=message):
    ring.Ring()(q, q, q, masks.of_length(4).replace(**mask), **options)


def test_sizes_that_do_not_fit_are_refused():
  with pytest.raises(errors.InputError, match='at least 1 token; got 0'):
    ring.Ring(block=0)
  q, k = jnp.zeros((1, 4, 3, H)), jnp.zeros((1, 4, 2, H))
  with pytest.raises(ValueError, match='3 query heads .* 2 key heads'):
    ring.Ring()(q, k, k, masks.of_length(4))
