"""Properties that every optimizer has."""
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import config
from lmjax.core.flags import overrides
from lmjax.core import trees
from lmjax.training import optimizers
from lmjax.training.optimizers import adafactor
from lmjax.training.optimizers import adam
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import lion
from lmjax.training.optimizers import muon
from lmjax.training.optimizers import rmsprop
from lmjax.training.optimizers import schedules
from lmjax.training.optimizers import sgd
from lmjax.training import step

ALL = [adamw.AdamW(learning_rate=0.03),
       adam.Adam(learning_rate=0.03),
       sgd.SGD(learning_rate=0.3),
       rmsprop.RMSProp(learning_rate=0.01),
       adafactor.Adafactor(learning_rate=0.1, min_factored=4),
       lion.Lion(learning_rate=0.01),
       muon.Muon(learning_rate=0.03)]
assert {type(o) for o in ALL} == set(optimizers.OPTIMIZERS.values())
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


@dataclasses.dataclass(frozen=True)
class Holder:
  optimizer: optimizers.Config = adamw.AdamW(weight_decay=0.3)


@each
def test_flags_can_switch_to_it(optimizer):
  found = overrides.override(Holder(), {
      'optimizer.kind': type(optimizer).__name__,
      'optimizer.learning_rate': '0.5', 'optimizer.freeze': 'embed',
      'optimizer.schedule.kind': 'Cosine',
      'optimizer.schedule.final': '0.2'}).optimizer
  assert type(found) is type(optimizer)
  assert found.learning_rate == 0.5 and found.freeze == ('embed',)
  assert found.schedule == schedules.Cosine(final=0.2)


@each
def test_a_config_survives_json(optimizer):
  chosen = Holder(dataclasses.replace(
      optimizer, clip_norm=None, decay=(('bias', 0.5), ('.*', 0.0))))
  assert config.freeze(Holder, config.to_dict(chosen)) == chosen
