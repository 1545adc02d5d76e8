"""Every implementation equals plain loops, and the right one is chosen."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.nn import attend
from lmjax.nn import masks
from tests.reference import attention as reference

B, T, N, K, H = 2, 7, 4, 2, 8
POSITIONS = np.array([[0, 1, 2, 3, 0, 1, 2], [0, 1, 2, 3, 4, 0, 0]], np.int32)
SEGMENTS = np.array([[1, 1, 1, 1, 2, 2, 2], [1, 1, 1, 1, 1, 0, 0]], np.int32)
# Each a program of its own: operation by operation they would be a hundred.
STATIC = 'scale', 'softcap', 'dropout'
plain = jax.jit(attend.plain, static_argnames=STATIC)
blocked = jax.jit(attend.blocked, static_argnames=STATIC)
splash = jax.jit(attend.splash, static_argnames=(*STATIC, 'interpret'))
dense_of = jax.jit(masks.Mask.dense)


def draw(dtype=jnp.float32, length=T, size=H, kv_heads=K, rows=B):
  draws = np.random.default_rng(0)
  return [2 * draws.normal(size=(rows, length, heads, size)).astype(dtype)
          for heads in (N, kv_heads, kv_heads)]


def bias():
  return np.random.default_rng(9).normal(size=(B, N, T, T)).astype(np.float32)


CASES = {
    'causal': (dict(segments=None), {}),
    'bidirectional': (dict(segments=None, causal=False), {}),
    'packed': ({}, {}),
    'windowed': (dict(window=2), {}),
    'softcapped': ({}, dict(softcap=2.0)),
    'biased': ({}, dict(bias_BNTS=bias)),
    'scaled': ({}, dict(scale=0.3)),
    'all': (dict(window=3), dict(softcap=1.5, scale=0.7, bias_BNTS=bias)),
}


def case(name):
  settings, options = CASES[name]
  settings = dict(segments=SEGMENTS, causal=True, window=None) | settings
  options = {k: v() if callable(v) else v for k, v in options.items()}
  mask = masks.make(POSITIONS, settings['segments'], causal=settings['causal'])
  return mask.replace(window=settings['window']), options


@pytest.mark.parametrize('kv_heads', [1, 2, 4])
@pytest.mark.parametrize('name', CASES)
def test_plain_is_the_loops(name, kv_heads):
  mask, options = case(name)
  q, k, v = draw(kv_heads=kv_heads)
  dense = np.asarray(dense_of(mask))
  want = reference.attend(
      q, k, v, lambda b, t, s: dense[min(b, len(dense) - 1), t, s],
      bias=options.get('bias_BNTS'), scale=options.get('scale'),
      softcap=options.get('softcap'))
  got = np.asarray(plain(q, k, v, mask, **options))
  seen = np.broadcast_to(dense.any(-1), (B, T))  # Padding may give anything.
  np.testing.assert_allclose(got[seen], want[seen], atol=2e-5)
  assert np.all(np.isfinite(got))


@pytest.mark.parametrize('name', [n for n in CASES if n != 'bidirectional'])
def test_blocked_is_plain(name):
  mask, options = case(name)
  mask = mask.replace(extra_BTS=np.broadcast_to(
      np.arange(T)[None, None] != 1, (1, T, T)))
  q, k, v = draw()

  def value(attention, q, k, v):
    out = attention(q, k, v, mask, **options)
    seen_BT = jnp.any(mask.dense(), axis=-1)[..., None, None]
    return jnp.sum(jnp.where(seen_BT, out, 0) * jnp.cos(jnp.arange(H)))
  with jax.numpy_rank_promotion('allow'):
    want, got = (jax.jit(jax.value_and_grad(
        lambda *qkv: value(attention, *qkv), (0, 1, 2)))(q, k, v)
                 for attention in (attend.plain, attend.blocked))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(
      a, b, atol=2e-5), got, want)


@pytest.mark.parametrize('name', ['causal', 'packed', 'windowed', 'biased'])
def test_plain_is_that_of_jax(name):
  mask, options = case(name)
  q, k, v = draw()
  dense = np.asarray(dense_of(mask))
  want = jax.jit(jax.nn.dot_product_attention)(
      q, k, v, mask=dense[:, None], bias=options.get('bias_BNTS'))
  seen = np.broadcast_to(dense.any(-1), (B, T))
  np.testing.assert_allclose(
      plain(q, k, v, mask, **options)[seen], want[seen], atol=2e-5)


def test_queries_may_be_fewer_than_keys():
  q, k, v = draw()
  mask = masks.make(POSITIONS, SEGMENTS)
  last = masks.Mask(POSITIONS[:, 3:5], POSITIONS, SEGMENTS[:, 3:5], SEGMENTS)
  np.testing.assert_allclose(
      plain(q[:, 3:5], k, v, last),
      plain(q, k, v, mask)[:, 3:5], atol=1e-5)


def test_half_precision_operands_keep_a_float32_softmax():
  mask, _ = case('packed')
  half = draw(jnp.bfloat16)
  program = str(jax.make_jaxpr(
      lambda q, k, v: attend.plain(q, k, v, mask))(*half))
  assert 'bf16' in program
  for line in program.splitlines():
    if ' exp ' in line or 'reduce_sum' in line or ' tanh ' in line:
      assert 'bf16' not in line
  want = plain(*(x.astype(jnp.float32) for x in half), mask)
  got = plain(*half, mask)
  assert got.dtype == jnp.bfloat16
  seen = SEGMENTS > 0
  np.testing.assert_allclose(
      np.asarray(got, np.float32)[seen], want[seen], atol=0.05)


def test_blocks_drop_what_is_dropped_at_once():
  q, k, v = (x / 2 for x in draw(length=10, size=4, kv_heads=4))
  options = dict(dropout=0.5, dropout_rng=jax.random.key(3))
  mask = masks.of_length(10)
  np.testing.assert_allclose(
      blocked(q, k, v, mask, **options),
      plain(q, k, v, mask, **options), atol=1e-6)


def test_dropout_keeps_the_mean_and_drops_its_share():
  q, k = np.zeros((2, 1, 200, 1, 2), np.float32)
  v = np.ones((1, 200, 1, 2), np.float32)
  mask = masks.of_length(200, causal=False)
  def dropped(key, rate=0.25):
    return plain(q, k, v, mask, dropout=rate, dropout_rng=key)
  got = np.asarray(dropped(jax.random.key(0)))[0, :, 0, 0]
  assert abs(got.mean() - 1) < 0.01
  # Each is the mean of 200 draws of (0 or 4/3): variance (1/3) / 200.
  np.testing.assert_allclose(got.std(), (1 / 3 / 200) ** 0.5, rtol=0.2)
  assert not np.array_equal(
      got, np.asarray(dropped(jax.random.key(1)))[0, :, 0, 0])
  np.testing.assert_array_equal(dropped(None), plain(q, k, v, mask))


def test_heads_that_do_not_divide_are_refused():
  q, k, v = draw(kv_heads=3)
  with pytest.raises(ValueError, match='4 query heads .* 3 key heads'):
    attend.plain(q, k, v, masks.of_length(T))


# -- which implementation


@pytest.fixture
def picked(monkeypatch):
  """Returns the name of the implementation that `best` picks on a platform."""
  def pick(platform, q, k, v, mask, **options):
    monkeypatch.setattr(jax, 'default_backend', lambda: platform)
    chosen = []
    def record(name):
      return lambda *args, **kwargs: chosen.append(name)
    monkeypatch.setattr(attend, 'plain', record('plain'))
    monkeypatch.setattr(attend, '_FUSED', {
        p: tuple((record(f.__name__), able) for f, able in choices)
        for p, choices in attend._FUSED.items()})
    attend.best(q, k, v, mask, **options)
    return chosen[0]
  return pick


@pytest.mark.parametrize('name, length, changes', [
    ('blocked', 256, {}), ('plain', 128, {}), ('plain', 256, dict(causal=False)),
    ('plain', 256, dict(square=False))])
def test_a_cpu_takes_blocks_of_long_causal_rows(picked, name, length, changes):
  mask = masks.of_length(length).replace(**changes)
  assert picked('cpu', *draw(length=length), mask) == name


@pytest.mark.parametrize('name, changes, options', [
    ('cudnn', {}, {}),
    ('cudnn', {}, dict(dropout=0.1)),  # Without a key there is no dropout.
    ('plain', {}, dict(dropout=0.1, dropout_rng=jax.random.key(0))),
    ('plain', {}, dict(softcap=5.0)),
    ('plain', dict(dtype=jnp.float32), {}),
    ('plain', dict(size=12), {}),
    ('plain', dict(size=256), {}),
    ('plain', dict(length=1), {}),
    ('cudnn', dict(length=9), {}),
    ('plain', dict(length=9), dict(bias_BNTS=np.zeros((1, N, 9, 9)))),
    ('plain', dict(length=9, segments=True), {}),
    ('cudnn', dict(segments=True), {}),
])
def test_a_gpu_takes_cudnn_where_it_can(picked, name, changes, options):
  changes = dict(dict(dtype=jnp.bfloat16, length=8, size=64), **changes)
  packed = changes.pop('segments', False)
  q, k, v = draw(**changes)
  mask = masks.of_length(changes['length'])
  if packed:
    mask = masks.make(*(np.ones((len(q), changes['length']), np.int32),) * 2)
  assert picked('gpu', q, k, v, mask, **options) == name


@pytest.mark.parametrize('name, changes, mask, options', [
    ('splash', {}, {}, {}),
    ('splash', dict(dtype=jnp.float32), {}, dict(softcap=5.0)),
    ('splash', {}, dict(window=5), {}),
    ('plain', {}, dict(window=5, causal=False), {}),
    ('plain', {}, dict(square=False), {}),
    ('plain', {}, dict(extra_BTS=np.ones((1, 128, 128), bool)), {}),
    ('plain', {}, {}, dict(bias_BNTS=np.zeros((1, N, 128, 128)))),
    ('plain', dict(length=96), {}, {}),
    ('plain', dict(size=32), {}, {}),
    ('plain', {}, {}, dict(dropout=0.1, dropout_rng=jax.random.key(0))),
])
def test_a_tpu_takes_splash_where_it_can(picked, name, changes, mask, options):
  settings = dict(dict(dtype=jnp.bfloat16, length=128, size=64), **changes)
  q, k, v = draw(**settings)
  mask = masks.of_length(settings['length']).replace(**mask)
  assert picked('tpu', q, k, v, mask, **options) == name


# -- the fused kernels, as far as they go without their hardware


@pytest.fixture
def handed_to_cudnn(monkeypatch):
  """Computes what is handed to cuDNN by other means, and keeps it."""
  kept = {}
  real = jax.nn.dot_product_attention
  def fake(q, k, v, **options):
    kept.update(options)
    assert options.pop('implementation') == 'cudnn'
    return real(q, k, v, **options)
  monkeypatch.setattr(jax.nn, 'dot_product_attention', fake)
  return kept


@pytest.mark.parametrize('name, by_index', [
    ('causal', True), ('bidirectional', True), ('packed', False),
    ('windowed', False), ('biased', False), ('scaled', False)])
def test_cudnn_is_handed_what_means_the_same(handed_to_cudnn, name, by_index):
  mask, options = case(name)
  q, k, v = draw()
  got = jax.jit(lambda: attend.cudnn(q, k, v, mask, **options))()
  assert (handed_to_cudnn['mask'] is None) == by_index
  assert handed_to_cudnn['is_causal'] == (name == 'causal')
  seen = np.broadcast_to(np.asarray(dense_of(mask)).any(-1), (B, T))
  np.testing.assert_allclose(
      got[seen], plain(q, k, v, mask, **options)[seen], atol=2e-5)


def test_cudnn_is_handed_a_mask_when_decoding(handed_to_cudnn):
  q, k, v = draw()
  mask = masks.Mask(POSITIONS[:, 3:5], POSITIONS)
  got = jax.jit(lambda: attend.cudnn(q[:, 3:5], k, v, mask))()
  assert handed_to_cudnn['mask'] is not None
  assert not handed_to_cudnn['is_causal']
  np.testing.assert_allclose(
      got, plain(q[:, 3:5], k, v, mask), atol=2e-5)


SPLASH = {
    'causal': {}, 'bidirectional': dict(causal=False), 'window': dict(window=9),
    'softcap': {}}


@pytest.mark.parametrize('name', SPLASH)
def test_splash_is_plain(name):
  q, k, v = draw(length=128, size=64, rows=1)
  segments = np.repeat(np.int32([1, 2, 0]), [50, 70, 8])[None]
  mask = masks.make(np.arange(128, dtype=np.int32)[None], segments).replace(
      **SPLASH[name])
  options = dict(softcap=2.0) if name == 'softcap' else {}
  got = splash(q, k, v, mask, interpret=True, **options)
  np.testing.assert_allclose(
      got[:, :120], plain(q, k, v, mask, **options)[:, :120], atol=2e-4)


def test_one_at_a_time_is_the_function_itself():
  def kernel(operands, rest):  # Like cuDNN's, it takes no batch of batches.
    q_BTNH, k_BSKH, v_BSKH = operands
    return attend.plain(q_BTNH, k_BSKH, v_BSKH, masks.make(rest))

  def loss(function, operands, rest):
    return jnp.sum(jnp.sin(jax.vmap(function)(operands, rest)))

  draws = np.random.default_rng(0)
  operands = tuple(
      draws.normal(size=(3, 2, 4, 2, 8)).astype(np.float32) for _ in range(3))
  rest = np.tile(np.arange(4, dtype=np.int32), (3, 2, 1))
  (want, wanted), (got, found) = (
      jax.jit(jax.value_and_grad(functools.partial(loss, function)))(
          operands, rest)
      for function in (kernel, attend._one_at_a_time(kernel)))
  np.testing.assert_allclose(got, want, rtol=1e-6)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
               found, wanted)
  looped = jax.make_jaxpr(jax.vmap(attend._one_at_a_time(kernel)))(
      operands, rest)
  assert 'f32[3,2,2' not in str(looped) and 'scan' in str(looped)


def test_weights_are_those_that_plain_averages_by():
  q_BTNH, k_BSKH, v_BSKH = draw(length=5)
  options = dict(
      bias_BNTS=bias()[:1, :, :5, :5], scale=0.7, softcap=3.0)
  mask = masks.of_length(5)
  weights_BNTS = jax.jit(attend.weights, static_argnames=STATIC[:2])(
      q_BTNH, k_BSKH, mask, **options)
  assert weights_BNTS.shape == (2, 4, 5, 5)
  np.testing.assert_allclose(
      jax.jit(attend.averaged)(weights_BNTS, v_BSKH),
      plain(q_BTNH, k_BSKH, v_BSKH, mask, **options), atol=1e-5)
