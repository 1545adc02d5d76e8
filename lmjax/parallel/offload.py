"""The optimizer's state in the host's memory, where it waits between updates.

Moments are twice as large as the parameters and needed once a step. In pinned
memory of the host they leave the device's to activations; they come and go
within the step, so that the compiler can do so behind other work.
"""
from collections.abc import Sequence
import functools
from typing import Any

import jax

from lmjax.core import errors

MEMORY = 'pinned_host'


def check(devices: Sequence[jax.Device]) -> None:
  """Raises InputError unless the devices reach memory of their host."""
  kinds = [memory.kind for memory in devices[0].addressable_memories()]
  if MEMORY not in kinds:
    raise errors.InputError(
        f'training.offload keeps the optimizer in memory of the kind {MEMORY}; '
        f'{devices[0].device_kind} has {", ".join(kinds)}. Set '
        '--config.training.offload=none.')


def at_rest(shardings: Any) -> Any:
  """Returns where a state lies between steps, from where it is computed with.

  Args:
    shardings: As a tree like the state; of parameters alone, nothing changes.
  """
  if not hasattr(shardings, 'opt_state'):
    return shardings
  return shardings.replace(opt_state=jax.tree.map(
      functools.partial(_of_kind, MEMORY), shardings.opt_state))


def fetched(state: Any, shardings: Any) -> Any:
  """Returns a state whose optimizer's is on the devices, to compute with."""
  return _moved(state, shardings, 'device')


def put_back(state: Any, shardings: Any) -> Any:
  """Returns a state whose optimizer's is on the host."""
  return _moved(state, shardings, MEMORY)


def _moved(state, shardings, kind):
  if not hasattr(state, 'opt_state'):
    return state
  return state.replace(opt_state=jax.device_put(
      state.opt_state, jax.tree.map(
          functools.partial(_of_kind, kind), shardings.opt_state)))


def _of_kind(kind, sharding):
  return sharding.with_memory_kind(kind)
