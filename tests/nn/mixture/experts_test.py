"""A mixture equals a loop over its experts, on any devices."""
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.flags import overrides
from lmjax.core import layouts
from lmjax.core import trees
from lmjax.models import cost
from lmjax.models import decoder
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn.mixture import experts
from lmjax.nn import positions
from lmjax.objectives import lm
from lmjax.testing import batches
from lmjax.testing import equivalence
from lmjax.testing import hot
from lmjax.testing import invariance
from lmjax.training import step as step_lib

POLICY = layers.Policy()
B, T, D = 4, 9, 6
CONFIG = experts.MixtureOfExperts(
    hidden=10, activation='silu', gated=True, num_experts=4, top_k=2)
X = np.random.default_rng(0).normal(size=(B, T, D)).astype(np.float32)
SEGMENTS = np.ones((B, T), np.int32)
SEGMENTS[0, 6:], SEGMENTS[2] = 0, 0


def params_of(config):
  return hot.hot_params(jax.eval_shape(
      config.build(POLICY).init, jax.random.key(0), X)['params'], std=0.5)


@functools.partial(jax.jit, static_argnames=('config', 'room'))
def loop(config, params, x, segments, room=T):
  """Runs every expert on every token and picks; nothing else in common."""
  logits = x @ params['router']['kernel']
  probs = jnp.exp(logits) / jnp.sum(jnp.exp(logits), -1, keepdims=True)
  order = jnp.argsort(-probs, axis=-1)[..., :config.top_k]
  out = jnp.zeros_like(x)
  total = sum(jnp.take_along_axis(probs, order[..., a:a + 1], -1)
              for a in range(config.top_k))
  if not config.normalize:
    total = jnp.ones_like(total)
  for e in range(config.num_experts):
    def dense(name, h):
      each = params['experts'][name]
      y = jnp.einsum('BTD,DF->BTF', h, each['kernel'][e])
      return y + each['bias'][e][None, None] if 'bias' in each else y
    h = layers.ACTIVATIONS[config.activation](dense('in', x))
    if config.gated:
      h = h * dense('gate', x)
    taken = jnp.any(order == e, axis=-1) & (segments > 0)
    taken &= jnp.cumsum(taken, axis=1) <= room
    out += jnp.where(taken[..., None],
                     probs[..., e:e + 1] / total * dense('out', h), 0)
  return out


def with_gradient(function, params, x):
  weights = jnp.asarray(np.random.default_rng(2).normal(size=x.shape),
                        jnp.float32)
  def total(params, x):
    y = function(params, x)
    return jnp.sum(y * weights), y
  return jax.jit(jax.grad(total, (0, 1), has_aux=True))(params, x)


def close(got, want, tolerance=1e-5):
  flat = zip(trees.items(dict(enumerate(jax.tree.leaves(got)))),
             jax.tree.leaves(want))
  for (path, a), b in flat:
    error = np.abs(a - b).max() / max(np.abs(b).max(), 1e-3)
    assert error < tolerance, (path, error)


VARIANTS = {
    'gated': CONFIG,
    'plain': dataclasses.replace(
        CONFIG, gated=False, bias=False, activation='gelu_tanh'),
    'switch': dataclasses.replace(CONFIG, top_k=1, normalize=False),
    'all': dataclasses.replace(CONFIG, top_k=4, normalize=False),
    'capacity': dataclasses.replace(CONFIG, capacity_factor=0.8),
}


@functools.partial(jax.jit, static_argnames=('config', 'train', 'policy'))
def apply(config, params, x, segments=SEGMENTS, train=False, policy=POLICY,
          **kwargs):
  return config.build(policy).apply(
      {'params': params}, x, train, segments, mutable=['losses', 'metrics'],
      **kwargs)


@pytest.mark.parametrize('name', [
    'gated', 'capacity', *(pytest.param(name, marks=pytest.mark.slow)
                           for name in ('plain', 'switch', 'all'))])
@pytest.mark.slow
def test_a_mixture_is_a_loop_over_its_experts(name):
  config = VARIANTS[name]
  params = params_of(config)
  room = 4 if name == 'capacity' else T  # 0.8 * 9 * 2 / 4, rounded up.
  got = with_gradient(lambda *args: apply(
      config, *args, train=True)[0], params, X)
  want = with_gradient(lambda params, x: loop(
      config, params, x, SEGMENTS, room), params, X)
  close(got, want)
  for path, leaf in trees.items(got[0][0]):
    assert np.all(np.isfinite(leaf)) and np.any(leaf), path


@pytest.mark.slow
def test_capacity_is_for_training_alone():
  config = VARIANTS['capacity']
  params = params_of(config)
  trained, sown = apply(config, params, X, train=True)
  evaluated, other = apply(config, params, X)
  assert np.abs(trained - evaluated).max() > 1e-2
  np.testing.assert_allclose(
      evaluated, loop(config, params, X, SEGMENTS), atol=1e-5)
  assert np.sum(sown['metrics']['dropped'][0]) > 0
  assert not np.any(other['metrics']['dropped'][0])


def test_padding_goes_to_no_expert():
  config = VARIANTS['capacity']
  params = params_of(config)
  noisy = np.where(SEGMENTS[..., None] > 0, X, 100.0)
  one, other = (apply(config, params, x, train=True) for x in (X, noisy))
  jax.tree.map(np.testing.assert_array_equal, one, other)
  assert not np.any(np.asarray(one[0])[SEGMENTS == 0])


@pytest.mark.slow
def test_hidden_units_are_dropped_in_training():
  config = dataclasses.replace(CONFIG, dropout=0.5)
  params = params_of(config)
  draw = jax.lax.map(lambda key: apply(
      config, params, X, train=True, rngs={'dropout': key})[0],
                     jax.random.split(jax.random.key(0), 400))
  want = apply(config, params, X)[0]
  assert np.abs(draw[0] - want).max() > 0.1
  assert np.abs(np.mean(draw, axis=0) - want).max() < 0.5 * np.std(want)


def test_half_precision_routes_in_float32():
  params = params_of(CONFIG)
  policy = layers.Policy(dtype='bfloat16')
  got, sown = apply(CONFIG, params, X, policy=policy)
  assert got.dtype == jnp.bfloat16
  logits = X.astype(np.float64) @ params['router']['kernel']
  z = np.log(np.exp(logits).sum(-1)) ** 2
  np.testing.assert_allclose(sown['metrics']['router_z'][0], [
      z[b][SEGMENTS[b] > 0].mean() if b != 2 else 0 for b in range(B)],
                             rtol=1e-5)
  want = loop(CONFIG, params, X, SEGMENTS)
  assert np.std(got - want) < 0.02 * np.std(want)


# -- spread over devices, by hand


@pytest.mark.parametrize('name', ['gated', 'capacity'])
@pytest.mark.slow
def test_experts_on_four_devices_are_those_on_one(name):
  config, axis = VARIANTS[name], 'expert'
  params, rows = params_of(config), X.reshape(4, 1, T, D)
  weights = np.random.default_rng(2).normal(size=X.shape).astype(np.float32)

  def cut(path, leaf):
    if path.startswith('experts/'):
      return leaf.reshape(4, 1, *leaf.shape[1:])
    return jnp.stack([leaf] * 4)

  def total(module, params, x, segments, weights):
    y, _ = module.apply({'params': params}, x, True, segments,
                        mutable=['losses', 'metrics'])
    return jnp.sum(y * weights), y

  def whole(module):
    return jax.grad(functools.partial(total, module), (0, 1), has_aux=True)

  want, y = jax.jit(whole(config.build(POLICY)))(params, X, SEGMENTS, weights)
  spread = config.build(POLICY).clone(axis_name=axis)
  mapped = jax.pmap(whole(spread), axis_name=axis, devices=jax.devices()[:4])
  (grads, dx), got = mapped(
      trees.map_paths(cut, params), rows, SEGMENTS.reshape(4, 1, T),
      weights.reshape(4, 1, T, D))
  # A device's experts have the gradient of all; what is replicated is summed.
  router = grads['router']['kernel'].sum(0)
  close((got.reshape(y.shape), dx.reshape(X.shape), router),
        (y, want[1], want[0]['router']['kernel']))
  close(jax.tree.map(lambda x: x[:, 0], grads['experts']), want[0]['experts'])


def test_experts_that_do_not_divide_are_refused():
  module = CONFIG.build(POLICY).clone(axis_name='expert')
  with pytest.raises(errors.InputError, match='4 experts do not divide over'):
    jax.eval_shape(lambda: jax.vmap(
        lambda x: module.init(jax.random.key(0), x), axis_name='expert')(
            np.zeros((3, 1, 2, D), np.float32)))


# -- in a model

VOCAB = 17
MODEL = decoder.DecoderConfig(
    vocab_size=VOCAB, context=24, width=16, num_layers=2,
    positions=positions.Learned(),
    block=block.PreNorm(
        mixer=attention.AttentionConfig(2), mlp=dataclasses.replace(
            CONFIG, hidden=12, capacity_factor=1.0, balance=0.3,
            router_z=0.2)))
DOCS = batches.documents([5, 4, 6, 3, 9, 2, 7], VOCAB)
BATCH = batches.alone(DOCS)
BATCH = {k: np.pad(v, ((0, 1), (0, 0))) for k, v in BATCH.items()}  # 8 rows.


def model_params(config=MODEL):
  return hot.hot_params(jax.eval_shape(
      config.build().init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))[
          'params'])


def loss_of(config):
  objective = lm.Causal().build(config.build())
  return lambda params, batch: objective(
      params, batch, rng=jax.random.key(0))['loss']


@pytest.mark.parametrize('chunk', [None, 8])
def test_the_losses_reach_the_objective_and_the_rows(chunk):
  params, mlp = model_params(), MODEL.block.mlp
  means = jax.jit(lambda params: lm.causal(
      MODEL.build(), params, BATCH, rng=jax.random.key(0), chunk=chunk))(
          params)
  value = {name: mean.value for name, mean in means.items()}
  assert value.keys() == {
      'loss', 'nll', 'accuracy', 'balance', 'router_z', 'dropped'}
  assert 0 < value['dropped'] < 0.5 and 1 < value['balance'] < 4
  # Metrics are means over two layers, losses sums.
  assert value['loss'] == pytest.approx(value['nll'] + 2 * (
      mlp.balance * value['balance'] + mlp.router_z * value['router_z']),
      rel=1e-5)


@pytest.mark.parametrize('kind', [block.PreNorm, block.PostNorm])
def test_what_stands_in_padding_changes_nothing(kind):
  model = dataclasses.replace(MODEL, num_layers=1, block=kind(
      mixer=MODEL.block.mixer, mlp=MODEL.block.mlp))
  params = model_params(model)
  run = jax.jit(lambda batch: lm.causal(
      model.build(), params, batch, rng=jax.random.key(0)))
  inputs = np.where(BATCH['segments'] > 0, BATCH['inputs'], VOCAB - 1)
  assert np.any(inputs != BATCH['inputs'])
  # Padding comes first, where it would take the experts' places.
  one, other = (run({k: v[:, ::-1] for k, v in batch.items()})
                for batch in (BATCH, BATCH | {'inputs': inputs}))
  assert one['dropped'].value > 0
  jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.slow
def test_scanned_experts_are_looped_ones():
  scan = dataclasses.replace(MODEL, scan=True)
  to_scan = functools.partial(layouts.like, target=cost.shapes(scan))
  equivalence.scan_equals_loop(
      loss_of(scan), loss_of(MODEL), model_params(), to_scan, BATCH)
  metrics = [jax.jit(lambda params, config=config: lm.causal(
      config.build(), params, BATCH, rng=jax.random.key(0)))(params)
             for config, params in (
                 (scan, to_scan(model_params())),
                 (MODEL, model_params()))]
  for name in metrics[0]:
    assert metrics[0][name].value == pytest.approx(
        metrics[1][name].value, rel=1e-5)


@pytest.mark.parametrize(
    'scan', [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.slow
def test_experts_computed_again_are_the_same(scan):
  plain = dataclasses.replace(MODEL, scan=scan)
  equivalence.remat_equals_none(
      loss_of(dataclasses.replace(plain, remat='full')), loss_of(plain),
      model_params(plain), BATCH)


@pytest.mark.slow
def test_decoding_one_token_at_a_time_is_the_full_forward_pass():
  model, params = MODEL.build(), model_params()
  def decode(batch, cache):
    mask = masks.make(batch['positions'], batch['segments'])
    return model.apply({'params': params}, batch['inputs'], mask, cache=cache)
  invariance.cached_decode_equals_full(
      decode, model.empty_cache, vocab_size=VOCAB)


def test_training_with_capacity_sees_no_future():
  model, params = MODEL.build(), model_params()
  invariance.no_future_leakage(
      lambda inputs: model.apply(
          {'params': params}, inputs, train=True, mutable=['losses'],
          rngs={'dropout': jax.random.key(0)})[0][0], BATCH['inputs'][:3])


@pytest.mark.slow
@pytest.mark.parametrize('factor', [None, 1.0])
def test_microbatches_and_devices_give_the_same_update(factor):
  mlp = dataclasses.replace(MODEL.block.mlp, capacity_factor=factor)
  model = dataclasses.replace(MODEL, num_layers=1, block=dataclasses.replace(
      MODEL.block, mlp=mlp))
  params, optimizer = model_params(model), optax.sgd(1.0)
  objective = lm.Causal().build(model.build())

  def update(params, batch, axis_name=None, parts=1):
    state = step_lib.init_state(params, optimizer, 0)
    state, metrics = step_lib.train_step(
        state, batch, objective=objective, optimizer=optimizer,
        axis_name=axis_name, microbatches=parts)
    return state.params, {k: (v.total, v.weight) for k, v in metrics.items()}

  equivalence.accumulation_equals_big_batch(
      lambda batch, parts: jax.jit(functools.partial(update, parts=parts))(
          params, batch), BATCH, parts=(4,), tolerance=1e-5)
  equivalence.devices_equal_one(update, params, BATCH, tolerance=1e-5)


def test_an_objective_that_would_drop_the_losses_refuses_to_train():
  model, params = MODEL.build(), model_params()
  def hidden(train):
    return model.apply(
        {'params': params}, BATCH['inputs'], train=train,
        rngs={'dropout': jax.random.key(0)})
  with pytest.raises(errors.InputError, match='kind=Causal'):
    jax.eval_shape(lambda: hidden(True))
  jax.eval_shape(lambda: hidden(False))  # There is nothing to drop.
  free = dataclasses.replace(MODEL, block=dataclasses.replace(
      MODEL.block, mlp=dataclasses.replace(
          MODEL.block.mlp, balance=0.0, router_z=0.0)))
  jax.eval_shape(lambda: free.build().apply(
      {'params': params}, BATCH['inputs'], train=True))


# -- configs


def test_flags_choose_the_mixture_with_its_own_defaults():
  dense = decoder.DecoderConfig(
      block=block.PreNorm(mlp=layers.MLPConfig(hidden=40, activation='relu')))
  changed = overrides.override(dense, {
      'block.mlp.kind': 'MixtureOfExperts', 'block.mlp.num_experts': '3'})
  assert changed.block.mlp == experts.MixtureOfExperts(num_experts=3)
  again = config_lib.freeze(
      decoder.DecoderConfig, config_lib.to_dict(changed))
  assert again == changed


@pytest.mark.parametrize('change, message', [
    (dict(top_k=5), 'at most mlp.num_experts = 4; got 5'),
    (dict(top_k=0), 'got 0'),
    (dict(top_k=1), 'mlp.normalize=False'),
    (dict(capacity_factor=0.0), 'capacity_factor should be above 0'),
    (dict(balance=-1.0), 'MixtureOfExperts.balance should be at least 0'),
    (dict(router_z=-1.0), 'MixtureOfExperts.router_z should be at least 0'),
    (dict(hidden=0), 'MixtureOfExperts.hidden should be at least 1'),
])
def test_impossible_mixtures_are_refused(change, message):
  with pytest.raises(errors.InputError, match=message):
    dataclasses.replace(CONFIG, **change)


def test_active_parameters_are_those_a_token_meets():
  one = jax.eval_shape(layers.MLPConfig(10, 'silu', gated=True).build(
      POLICY).init, jax.random.key(0), X)['params']
  tree = {'mlp': params_of(CONFIG), 'other': {'kernel': np.zeros(5)}}
  assert experts.active_parameters(tree, CONFIG) == (
      2 * trees.count(one) + D * 4 + 5)
