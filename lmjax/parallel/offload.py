"""The optimizer's state in host memory between updates.

Adam's moments are twice as large as the parameters and needed once per step. In
pinned host memory they leave device memory to activations. The step itself
copies them in and out, so that the compiler can overlap the copies with other
work.
"""
from collections.abc import Sequence
import functools
from typing import Any

import jax

from lmjax.core import errors

MEMORY = 'pinned_host'


def check(devices: Sequence[jax.Device]) -> None:
  """Raises InputError unless the devices can use pinned host memory."""
  kinds = [memory.kind for memory in devices[0].addressable_memories()]
  if MEMORY not in kinds:
    raise errors.InputError(
        f'training.offload keeps the optimizer in memory of kind {MEMORY}, but '
        f'{devices[0].device_kind} has only {", ".join(kinds)}. Set '
        '--config.training.offload=none.')


def at_rest(shardings: Any) -> Any:
  """Returns the shardings of a state between steps.

  Args:
    shardings: The shardings of the state within a step, as a tree like it.
      Shardings of parameters alone are returned unchanged.
  """
  if not hasattr(shardings, 'opt_state'):
    return shardings
  return shardings.replace(opt_state=jax.tree.map(
      functools.partial(_of_kind, MEMORY), shardings.opt_state))


def fetched(state: Any, shardings: Any) -> Any:
  """Returns a state with the optimizer's state in device memory."""
  return _moved(state, shardings, 'device')


def put_back(state: Any, shardings: Any) -> Any:
  """Returns a state with the optimizer's state in host memory."""
  return _moved(state, shardings, MEMORY)


def _moved(state, shardings, kind):
  if not hasattr(state, 'opt_state'):
    return state
  return state.replace(opt_state=jax.device_put(
      state.opt_state, jax.tree.map(
          functools.partial(_of_kind, kind), shardings.opt_state)))


def _of_kind(kind, sharding):
  return sharding.with_memory_kind(kind)
