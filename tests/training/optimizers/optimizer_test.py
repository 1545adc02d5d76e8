"""Clipping, schedule and checks, which are the same for all optimizers."""
import jax
import jax.numpy as jnp
import pytest

from lmjax.core import errors
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import schedules
from lmjax.training.optimizers import sgd


@pytest.mark.slow
def test_clipping_counts_only_what_trains(toy):
  optimizer = sgd.SGD(
      learning_rate=1.0, momentum=0.0, clip_norm=1.0, freeze=('^embed',))
  built = optimizer.build(toy.params, 1)
  grads = jax.tree.map(jnp.zeros_like, toy.params)
  grads['embed']['embedding'] += 1e6
  grads['head']['kernel'] = grads['head']['kernel'].at[0, 0].set(0.5)
  updates, _ = built.update(grads, built.init(toy.params), toy.params)
  assert float(updates['head']['kernel'][0, 0]) == -0.5


def test_schedule_reaches_the_update(toy):
  optimizer = sgd.SGD(
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
    adamw.AdamW(**fields)
