"""Checks the arguments of the training loop, which a notebook gives by hand."""
from collections.abc import Mapping
import inspect
from typing import Any

from lmjax.core import errors
from lmjax.training import step as step_lib


def check(state: Any, batches: Any, objective: Any, optimizer: Any) -> None:
  """Checks the types of the arguments of `loop.fit`.

  Raises:
    InputError: If one is of another type, with what it should be.
  """
  if not isinstance(state, step_lib.TrainState):
    raise errors.InputError(
        'state should be the state that step.init_state(params, optimizer, '
        f'seed) returns; got a {type(state).__name__}.')
  if not callable(batches):
    raise errors.InputError(
        'batches should be a function from a step to its batch, so that a run '
        'can continue at any step; for a list, give lambda step: batches[step '
        f'% len(batches)]. Got a {type(batches).__name__}.')
  if not callable(objective):
    raise errors.InputError(
        'objective should be a function objective(params, batch, rng=None), '
        "which the `build(model, tokenizer)` of an objective's config returns; "
        f'got {type(objective).__name__}.')
  carry = {} if state.carry is None else {'carry': None}
  try:
    inspect.signature(objective).bind(None, None, rng=None, **carry)
  except TypeError as error:
    raise errors.InputError(
        'objective should take (params, batch, rng=None'
        f'{", carry=None" if carry else ""}); it does not: {error}.') from error
  except ValueError:  # A function without a signature.
    pass
  step_lib.check_optimizer(optimizer)


def batch(found: Any, step: int) -> Mapping[str, Any]:
  """Returns the batch of a step; raises InputError if it is not a dict."""
  if not isinstance(found, Mapping):
    raise errors.InputError(
        f'batches({step}) should return a dict of arrays, such as '
        f"{{'inputs': ..., 'targets': ..., 'weights': ...}}; got a "
        f'{type(found).__name__}.')
  return found
