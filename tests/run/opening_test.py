"""A run says how large its model is, where it runs, and from which step."""
import types

import jax
import jax.numpy as jnp
import optax
import pytest

from lmjax.parallel import strategy
from lmjax.run import opening
from lmjax.training import options
from lmjax.training import step
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import schedules


def described(at, steps=1200, warmup=0, parallel='jit'):
  state = step.init_state({'w': jnp.zeros((40, 50))}, optax.sgd(1.0), 0)
  config = types.SimpleNamespace(
      training=options.Training(steps=steps), optimizer=adamw.AdamW(
          schedule=schedules.Constant(warmup=warmup)))
  return opening.describe(state.replace(step=jnp.int32(at)),
                          strategy.strategy(parallel), config).splitlines()


def test_a_new_run():
  kind = jax.devices()[0].device_kind
  assert described(0) == [
      f'model: 2,000 parameters on 1 x {kind} (jit)', 'steps: 1,200']
  assert described(0, parallel='pmap')[0].endswith(f'on 8 x {kind} (pmap)')


@pytest.mark.parametrize('at, words', [
    (1000, '; the run continues from step 1,000'),
    (1200, ', all of which are saved')])
def test_a_continued_run(at, words):
  assert described(at)[1] == f'steps: 1,200{words}'


def test_shortened_warmup():
  *_, first, second = described(0, steps=40, warmup=50)
  assert f'{first} {second}' == schedules.shortened(
      schedules.Constant(warmup=50), 40)
  assert len(first) <= 80
