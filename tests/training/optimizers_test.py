"""The contract that every optimizer keeps."""
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import config
from lmjax.core import errors
from lmjax.core import trees
from lmjax.training import optimizers
from lmjax.training import schedules
from lmjax.training import step

ALL = [optimizers.AdamW(learning_rate=0.03),
       optimizers.Adam(learning_rate=0.03),
       optimizers.SGD(learning_rate=0.3),
       optimizers.RMSProp(learning_rate=0.01),
       optimizers.Adafactor(learning_rate=0.1, min_factored=4),
       optimizers.Lion(learning_rate=0.01),
       optimizers.Muon(learning_rate=0.03)]
each = pytest.mark.parametrize('optimizer', ALL, ids=lambda o: type(o).__name__)


def run(toy, optimizer, steps=30):
  built = optimizer.build(toy.params, steps)
  state = step.init_state(toy.params, built, 0)
  update = jax.jit(functools.partial(
      step.train_step, objective=toy.objective, optimizer=built))
  losses = []
  for i in range(steps):
    state, row = update(state, toy.batches(i))
    losses.append(row['loss'].value)
  return state, losses


@each
def test_learns_and_leaves_frozen_parameters_alone(toy, optimizer):
  frozen = ('^embed', 'dense/bias')
  state, losses = run(toy, dataclasses.replace(optimizer, freeze=frozen))
  assert losses[-1] < 0.8 * losses[0]
  before, after = dict(trees.items(toy.params)), dict(trees.items(state.params))
  for path in before:
    same = np.array_equal(before[path], after[path])
    assert same == (path in ('embed/embedding', 'layers/dense/bias')), path
  held = [path for path, _ in trees.items(state.opt_state)]
  assert not any('embed' in path or 'bias' in path for path in held)


@each
def test_decay_shrinks_what_the_rules_name(toy, optimizer):
  optimizer = dataclasses.replace(
      optimizer, weight_decay=0.1, clip_norm=None,
      decay=(('head/kernel', 1.0), ('.*', 0.0)))
  plain = dataclasses.replace(optimizer, weight_decay=0.0)
  grads = jax.tree.map(jnp.ones_like, toy.params)
  updates = []
  for chosen in optimizer, plain:
    built = chosen.build(toy.params, 10)
    update = jax.jit(lambda p: built.update(grads, built.init(p), p)[0])
    updates.append(dict(trees.items(update(toy.params))))
  for path in updates[0]:
    same = np.array_equal(updates[0][path], updates[1][path])
    assert same == (path != 'head/kernel'), path


@each
def test_builds_from_shapes(toy, optimizer):
  shapes = jax.eval_shape(lambda: toy.params)
  jax.eval_shape(optimizer.build(shapes, 10).init, shapes)


def test_clipping_counts_only_what_trains(toy):
  optimizer = optimizers.SGD(
      learning_rate=1.0, momentum=0.0, clip_norm=1.0, freeze=('^embed',))
  built = optimizer.build(toy.params, 1)
  grads = jax.tree.map(jnp.zeros_like, toy.params)
  grads['embed']['embedding'] += 1e6
  grads['head']['kernel'] = grads['head']['kernel'].at[0, 0].set(0.5)
  updates, _ = built.update(grads, built.init(toy.params), toy.params)
  assert float(updates['head']['kernel'][0, 0]) == -0.5


def test_muon_orthogonalises_each_hidden_matrix(toy):
  optimizer = optimizers.Muon(
      learning_rate=1.0, weight_decay=0.0, clip_norm=None)
  built = optimizer.build(toy.params, 1)
  grads = jax.tree.map(lambda p: jnp.sin(7 * p), toy.params)
  updates, state = built.update(grads, built.init(toy.params), toy.params)
  scale = 0.2 * 8 ** 0.5
  for layer in updates['layers']['dense']['kernel']:
    singular = np.linalg.svd(layer / scale, compute_uv=False)
    # Five Newton-Schulz iterations bring them near 1, by design not to 1.
    assert singular.max() < 1.3 and np.median(singular) > 0.6
  # Adam's first update is the sign of the gradient.
  for name in 'embed/embedding', 'head/kernel', 'layers/dense/bias':
    update = dict(trees.items(updates))[name]
    np.testing.assert_allclose(np.abs(update), 1.0, rtol=1e-3)
  assert any('adam' in path for path, _ in trees.items(state))


def test_muon_without_hidden_matrices_is_refused():
  with pytest.raises(errors.InputError, match='matches no parameter'):
    built = optimizers.Muon().build({'w': {'kernel': jnp.ones((2, 2))}}, 1)
    built.init({'w': {'kernel': jnp.ones((2, 2))}})


def test_schedule_reaches_the_update(toy):
  optimizer = optimizers.SGD(
      learning_rate=1.0, momentum=0.0, clip_norm=None,
      schedule=schedules.Linear())
  built = optimizer.build(toy.params, 4)
  grads = jax.tree.map(jnp.ones_like, toy.params)
  state = built.init(toy.params)
  for expected in 1.0, 0.75, 0.5, 0.25, 0.0:
    updates, state = built.update(grads, state, toy.params)
    assert float(updates['head']['kernel'][0, 0]) == -expected


@pytest.mark.parametrize('fields, words', [
    ({'learning_rate': 0.0}, 'learning_rate should be above 0; got 0.0'),
    ({'weight_decay': -1.0}, 'weight_decay .*got -1.0'),
    ({'clip_norm': 0.0}, 'clip_norm .*got 0.0'),
    ({'decay': ('kernel',)}, 'pairs'),
])
def test_impossible_fields_are_refused(fields, words):
  with pytest.raises(errors.InputError, match=words):
    optimizers.AdamW(**fields)


@dataclasses.dataclass(frozen=True)
class Holder:
  optimizer: optimizers.Optimizer = optimizers.AdamW(weight_decay=0.3)


@each
def test_flags_can_switch_to_it(optimizer):
  tree = config.editable(Holder())
  tree.optimizer.kind = type(optimizer).__name__
  tree.optimizer.learning_rate = 0.5
  tree.optimizer.freeze = ('embed',)
  tree.optimizer.schedule.kind = 'Cosine'
  tree.optimizer.schedule.final = 0.2
  found = config.freeze(Holder, tree).optimizer
  assert type(found) is type(optimizer)
  assert found.learning_rate == 0.5 and found.freeze == ('embed',)
  assert found.schedule == schedules.Cosine(final=0.2)


@each
def test_survives_being_written_down(optimizer):
  chosen = Holder(dataclasses.replace(
      optimizer, clip_norm=None, decay=(('bias', 0.5), ('.*', 0.0))))
  assert config.freeze(Holder, config.editable(chosen)) == chosen
  assert config.freeze(Holder, config.to_dict(chosen)) == chosen
