"""A run in memory keeps its best parameters, and an interrupt ends it."""
import os
import signal
import threading

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.run import in_memory
from lmjax.training import step as step_lib


def saved(*scores, memory=None):
  memory = memory or in_memory.Memory()
  for step, score in enumerate(scores, 1):
    params = {'a': jnp.full(3, step, jnp.float32)}
    memory.save(step, step_lib.init_state(params, optax.sgd(1.0), 0), None,
                score)
  return memory


@pytest.mark.parametrize('scores, best', [
    ([3.0, 1.0, 2.0], 2), ([2.0, 2.0, 3.0], 2), ([None, None], 2),
    ([None, 5.0, None], 2), ([float('nan'), 4.0, float('inf')], 2)])
def test_the_best_parameters_are_kept(scores, best):
  memory = saved(*scores)
  assert memory.step == best
  np.testing.assert_array_equal(memory.params['a'], [best] * 3)


def test_an_average_is_kept_in_place_of_the_parameters():
  memory = in_memory.Memory()
  state = step_lib.init_state(
      {'a': jnp.zeros(3)}, optax.sgd(1.0), 0, ema=True)
  memory.save(1, state.replace(ema={'a': jnp.ones(3)}), None, 1.0)
  np.testing.assert_array_equal(memory.params['a'], [1] * 3)


def test_the_first_interrupt_is_a_request_and_the_second_is_raised(capsys):
  before = signal.getsignal(signal.SIGINT)
  with pytest.raises(KeyboardInterrupt):
    with in_memory.interruptible() as interrupts:
      assert interrupts.requested() is None
      os.kill(os.getpid(), signal.SIGINT)
      assert interrupts.requested() == 'SIGINT'
      assert 'ends after this step' in capsys.readouterr().err
      os.kill(os.getpid(), signal.SIGINT)
  assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_leave_the_handlers_alone():
  found = []

  def watch():
    with in_memory.interruptible() as interrupts:
      found.append((interrupts.requested(), signal.getsignal(signal.SIGINT)))
  before = signal.getsignal(signal.SIGINT)
  thread = threading.Thread(target=watch)
  thread.start()
  thread.join()
  assert found == [(None, before)]
