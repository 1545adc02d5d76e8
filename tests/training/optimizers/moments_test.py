"""Moments in bfloat16 are right on average and reproducible."""
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.core import errors
from lmjax.core.flags import overrides
from lmjax.core import trees
from lmjax.training.optimizers import adafactor
from lmjax.training.optimizers import adam
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import lion
from lmjax.training.optimizers import moments
from lmjax.training.optimizers import muon
from lmjax.training.optimizers import rmsprop
from lmjax.training.optimizers import sgd
from lmjax.training import step

KEY = jax.random.key(7)


def test_roundings_are_to_a_neighbour_and_right_on_average():
  rng = np.random.default_rng(0)
  values = np.concatenate([
      rng.normal(size=20), 10.0 ** rng.uniform(-30, 30, size=20)])
  values = values.astype(np.float32)
  draws = 20_000
  rounded = np.asarray(jax.jit(moments.stochastically)(
      jnp.broadcast_to(values[:, None], (len(values), draws)), KEY))
  assert rounded.dtype == jnp.bfloat16
  rounded = rounded.astype(np.float64)
  for value, row in zip(values.astype(np.float64), rounded):
    below, above = np.min(row), np.max(row)
    ulp = 2.0 ** (np.floor(np.log2(abs(value))) - 7)
    assert below <= value <= above and above - below in (0, ulp)
    # Five standard errors of a mean of so many draws of one of two numbers.
    share = (value - below) / ulp
    assert abs(row.mean() - value) <= 5 * ulp * np.sqrt(
        share * (1 - share) / draws)


@pytest.mark.slow
def test_values_of_bfloat16_are_kept():
  exact = jnp.array([0.0, -0.0, 1.0, -2.5, 2.0**-120, jnp.inf, -jnp.inf])
  np.testing.assert_array_equal(
      moments.stochastically(exact, KEY).astype(jnp.float32), exact)
  # Of all NaN also the one to whose bits nothing can be added.
  nans = jax.lax.bitcast_convert_type(
      jnp.full(64, 0x7fffffff, jnp.uint32), jnp.float32)
  assert np.all(np.isnan(moments.stochastically(nans, KEY)))


@pytest.mark.slow
def test_changes_too_small_for_bfloat16_add_up():
  optimizer = moments.in_bfloat16(optax.scale_by_adam(0.9, 0.999))
  grads = {'kernel': jnp.ones((40, 50))}

  @jax.jit
  def run(state):
    def body(state, _):
      nu = state.state.nu['kernel'].astype(jnp.float32)
      return optimizer.update(grads, state)[1], nu.mean()
    return jax.lax.scan(body, state, length=1000)
  _, means = run(optimizer.init(grads))
  np.testing.assert_allclose(
      means[1:], 1 - 0.999 ** np.arange(1, 1000), rtol=0.01)
  # Rounded to the nearest it would have stayed here.
  assert jnp.float32(0.999 * 0.25 + 0.001).astype(jnp.bfloat16) == 0.25


def trained(toy, optimizer, steps=40, state=None, start=0):
  built = optimizer.build(toy.params, 100)
  state = step.init_state(toy.params, built, 0) if state is None else state
  update = jax.jit(functools.partial(
      step.train_step, objective=toy.objective, optimizer=built))
  losses = []
  for i in range(start, start + steps):
    state, row = update(state, toy.batches(i))
    losses.append(row['loss'].value)
  return state, np.array(losses)


ADAMW = adamw.AdamW(learning_rate=0.03, moments='bfloat16')


@pytest.mark.slow
def test_training_is_close_to_float32_and_resumes_bitwise(toy):
  plain, wanted = trained(
      toy, dataclasses.replace(ADAMW, moments='float32'))
  whole, losses = trained(toy, ADAMW)
  assert wanted[-1] < 0.6 * wanted[0]
  np.testing.assert_allclose(losses, wanted, atol=0.03)
  assert not np.array_equal(losses, wanted)
  held = {path: leaf.dtype for path, leaf in trees.items(whole.opt_state)}
  of_params = [dtype for path, dtype in held.items() if 'embed' in path]
  assert of_params == [jnp.bfloat16] * 2
  size = lambda state: sum(x.nbytes for x in jax.tree.leaves(state.opt_state))
  assert size(whole) < 0.51 * size(plain)

  half, _ = trained(toy, ADAMW, 15)
  restored = jax.tree.map(jnp.asarray, jax.device_get(
      half.replace(rng=None))).replace(rng=half.rng)
  resumed, _ = trained(toy, ADAMW, 25, restored, 15)
  assert trees.digest(resumed.replace(rng=None)) == (
      trees.digest(whole.replace(rng=None)))


@pytest.mark.slow
def test_a_divided_state_is_rounded_in_the_same_way():
  optimizer = moments.in_bfloat16(optax.scale_by_adam())
  grads = {'kernel': jax.random.normal(KEY, (16, 24))}
  state = optimizer.init(grads)
  update = jax.jit(lambda g, s: optimizer.update(g, s)[1])
  want = update(grads, update(grads, state))

  mesh = jax.sharding.Mesh(
      np.array(jax.devices()[:8]).reshape(4, 2), ('a', 'b'),
      axis_types=(jax.sharding.AxisType.Auto,) * 2)
  place = lambda tree: jax.tree.map(lambda x: jax.device_put(
      x, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(
          *('ab' if x.ndim == 2 else '')))), tree)
  divided = update(place(grads), update(place(grads), place(state)))
  assert len(divided.state.mu['kernel'].sharding.device_set) == 8
  jax.tree.map(np.testing.assert_array_equal, divided, want)

  mapped = jax.pmap(
      lambda _, g: update(g, update(g, optimizer.init(g))),
      in_axes=(0, None))(jnp.arange(4), grads)
  for device in range(4):
    jax.tree.map(np.testing.assert_array_equal,
                 jax.tree.map(lambda x: x[device], mapped), want)


@pytest.mark.parametrize('optimizer', [
    lion.Lion(learning_rate=0.01), muon.Muon(learning_rate=0.03),
    pytest.param(adam.Adam(learning_rate=0.03), marks=pytest.mark.slow),
    pytest.param(sgd.SGD(learning_rate=0.3), marks=pytest.mark.slow),
    pytest.param(rmsprop.RMSProp(learning_rate=0.01),
                 marks=pytest.mark.slow),
    pytest.param(adafactor.Adafactor(learning_rate=0.1, min_factored=4),
                 marks=pytest.mark.slow),
], ids=lambda o: type(o).__name__)
def test_every_optimizer_learns_and_keeps_its_constants(toy, optimizer):
  state, losses = trained(
      toy, dataclasses.replace(
          optimizer, moments='bfloat16', freeze=('^embed',)), 30)
  assert losses[-1] < 0.8 * losses[0]
  plain = optimizer.build(toy.params, 9).init(toy.params)
  shapes = {leaf.shape for leaf in jax.tree.leaves(toy.params)}
  others = lambda tree: [str(leaf.dtype) for leaf in jax.tree.leaves(tree)
                         if leaf.shape not in shapes]
  assert set(others(state.opt_state)) == set(others(plain))


def test_flags_set_it_and_others_are_refused():
  assert overrides.override(
      adamw.AdamW(), {'moments': 'bfloat16'}).moments == 'bfloat16'
  with pytest.raises(errors.InputError, match="moments .*got 'float16'"):
    adamw.AdamW(moments='float16')
