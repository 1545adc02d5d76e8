"""Checkpoints: Orbax for the files, digests and fallback on top of it.

A step holds the items `params`, `ema` and `carry` (if kept), `rest` (optimizer
state, step and key) and `about`, a JSON text with the SHA-256 of every array
and what the run wants to know again. Orbax does not notice a flipped bit and
never tries an older step; the digests notice, and restoring then goes back a
step.

Orbax is imported where it is used: it doubles the time of `--help`.
"""
from collections.abc import Mapping
import dataclasses
import logging
import math
import os
import pathlib
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.core import trees
from lmjax.training import digests
from lmjax.training import step as step_lib
from lmjax.training import stopping

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Restored:
  """A checkpoint read back.

  Attributes:
    step: The step it was saved at.
    state: The training state.
    progress: What the run knew besides.
    about: The facts that `Checkpoints` was opened with.
    skipped: Steps tried before it that were damaged: (step, reason).
  """
  step: int
  state: step_lib.TrainState
  progress: stopping.Progress
  about: dict[str, Any]
  skipped: tuple[tuple[int, str], ...]


class Damaged(Exception):
  """A step that cannot be trusted; says which part of it and why."""


class Checkpoints:
  """The checkpoints of one run; use it in a `with` block.

  Saving is asynchronous: the arrays are copied and hashed before `save`
  returns, and written behind the training steps that follow. Leaving the block,
  however that happens, waits for them.
  """

  def __init__(
      self, directory: str | os.PathLike[str], keep_last: int = 2,
      keep_best: int = 1, about: Mapping[str, Any] | None = None,
  ):
    """Opens or creates `directory`.

    Args:
      directory: Where the steps lie.
      keep_last: Newest steps to keep.
      keep_best: Steps with the lowest score to keep besides.
      about: JSON facts stored with every step, such as fingerprints.
    """
    import orbax.checkpoint as ocp
    from orbax.checkpoint import checkpoint_managers
    self._directory = pathlib.Path(directory).absolute()
    self._about = dict(about or {})
    kept = [checkpoint_managers.LatestN(max(keep_last, 1))]
    if keep_best:
      kept.append(checkpoint_managers.BestN(
          get_metric_fn=lambda metrics: metrics['score'], reverse=True,
          n=keep_best))
    options = ocp.CheckpointManagerOptions(
        preservation_policy=checkpoint_managers.AnyPreservationPolicy(kept))
    try:
      self._manager = ocp.CheckpointManager(self._directory, options=options)
    except OSError as error:
      raise errors.InputError(
          f'Checkpoints cannot be kept in {self._directory}: {error}.'
      ) from error

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, *unused) -> None:
    self.close()

  def save(
      self, step: int, state: step_lib.TrainState,
      progress: stopping.Progress = stopping.Progress(),
      score: float | None = None,
  ) -> None:
    """Starts writing a step; raises if an earlier save failed.

    Args:
      step: Its number, above all saved so far.
      state: The state, one copy of it (see `parallel`'s `gather`).
      progress: What to get back with it.
      score: What 'best' goes by: lower is better. None counts as worst.

    Raises:
      InputError: If the step, or a newer one, is there already.
    """
    import orbax.checkpoint as ocp
    newest = self._manager.latest_step()
    if newest is not None and newest >= step:
      raise errors.InputError(
          f'Step {step} cannot be saved in {self._directory}: step {newest} is '
          f'already there. Continue from it, or use another directory.')
    if score is not None and not math.isfinite(score):
      score = None  # Orbax would keep a NaN as the best.
    items = _on_host(state)
    about = {
        'progress': dataclasses.asdict(progress), 'about': self._about,
        'score': score,
        'arrays': {name: digests.describe(t) for name, t in items.items()}}
    args = {name: ocp.args.StandardSave(tree) for name, tree in items.items()}
    if not self._manager.save(
        step, args=ocp.args.Composite(about=ocp.args.JsonSave(about), **args),
        metrics={'score': sys.float_info.max if score is None else score}):
      raise RuntimeError(f'Orbax did not write step {step}.')

  def steps(self) -> list[int]:
    """Returns the steps on disk, oldest first."""
    self.wait()
    return _steps(self._directory)

  def restore_latest(self, target: step_lib.TrainState) -> Restored | None:
    """Returns the newest step that is sound; None if there is no step."""
    return self.restore(target, 'latest') if self.steps() else None

  def resume(
      self, state: step_lib.TrainState
  ) -> tuple[step_lib.TrainState, stopping.Progress]:
    """Returns where the run stopped; `state` itself if the run is new."""
    found = self.restore_latest(state)
    return (found.state, found.progress) if found else (
        state, stopping.Progress())

  def restore(
      self, target: step_lib.TrainState, step: int | str = 'latest'
  ) -> Restored:
    """Returns a step, verified array by array.

    Args:
      target: A state (or its shapes) with the structure to restore into.
      step: A number, 'best' or 'latest'. The words fall back to the next best
        or next older step where one is damaged.

    Raises:
      InputError: If there is no such step, all are damaged, or arrays have
        other names, shapes or types than the target's.
    """
    self.wait()
    wanted = jax.eval_shape(_items, target)

    def read(number):
      about = _about(self._directory, number)
      _check_structure(number, about['arrays'], wanted)
      return about, {name: _item(self._directory, number, name, about)
                     for name in wanted}

    number, (about, found), skipped = _first_sound(self._directory, step, read)
    return Restored(
        number, _fill(found, wanted, target),
        stopping.Progress(**about['progress']), about['about'], skipped)

  def wait(self) -> None:
    """Returns when all saves are on disk; raises if one failed."""
    self._manager.wait_until_finished()

  def close(self) -> None:
    """Waits for the saves and closes; never leave a process without it."""
    try:
      self.wait()
    finally:
      self._manager.close()


def restore_params(
    directory: str | os.PathLike[str], step: int | str = 'best',
    average: bool = True,
) -> tuple[int, dict[str, Any]]:
  """Returns (step, parameters) of a run; needs neither model nor optimizer.

  Args:
    directory: Where `Checkpoints` kept them.
    step: A number, 'best' or 'latest', as in `Checkpoints.restore`.
    average: Whether to return the moving average where the run kept one.

  Returns:
    The step's number, and the nested dict of NumPy arrays, verified.

  Raises:
    InputError: If there is no such step, or none is sound.
  """
  directory = pathlib.Path(directory).absolute()

  def read(number):
    about = _about(directory, number)
    name = 'ema' if average and 'ema' in about['arrays'] else 'params'
    return _item(directory, number, name, about)

  number, params, _ = _first_sound(directory, step, read)
  return number, params


def best_step(directory: str | os.PathLike[str]) -> int | None:
  """Returns the step with the lowest score; None if none has one."""
  ranked = _by_score(pathlib.Path(directory).absolute())
  return ranked[0][1] if ranked and ranked[0][0] < math.inf else None


def _steps(directory) -> list[int]:
  """Returns the committed steps; one being written has another name."""
  if not directory.is_dir():
    return []
  return sorted(int(p.name) for p in directory.iterdir() if p.name.isdigit())


def _by_score(directory) -> list[tuple[float, int]]:
  """Returns (score, step), best first, the newest of equals first."""
  def score(step):
    try:
      value = _about(directory, step)['score']
    except Damaged:
      return math.inf
    return math.inf if value is None else value
  ranked = [(score(step), step) for step in _steps(directory)]
  return sorted(ranked, key=lambda pair: (pair[0], -pair[1]))


def _first_sound(directory, step, read):
  """Returns (step, read(step), skipped) for the first that is not damaged."""
  steps = _steps(directory)
  if not steps:
    raise errors.InputError(f'There are no checkpoints in {directory}.')
  if step == 'latest':
    candidates = steps[::-1]
  elif step == 'best':
    candidates = [number for _, number in _by_score(directory)]
  elif step in steps:
    candidates = [step]
  else:
    raise errors.InputError(
        f'There is no step {step!r} in {directory}; choose "best", "latest" or '
        f'one of {steps}.')
  skipped = []
  for number in candidates:
    try:
      return number, read(number), tuple(skipped)
    except Damaged as error:
      _logger.warning('Step %d is damaged (%s).', number, error)
      skipped.append((number, str(error)))
  listed = '; '.join(f'step {number}: {reason}' for number, reason in skipped)
  raise errors.InputError(
      f'No sound checkpoint is left in {directory}: {listed}.')


def _about(directory, step) -> dict[str, Any]:
  import orbax.checkpoint as ocp
  try:
    with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
      return reader.restore(directory / str(step) / 'about')
  except Exception as error:  # Orbax raises whatever its parsers raise.
    raise Damaged(f'its description cannot be read: {error!r}') from error


def _item(directory, step, name, about) -> dict[str, Any]:
  """Returns an item as nested dicts of NumPy arrays, verified."""
  import orbax.checkpoint as ocp
  try:
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
      tree = reader.restore(directory / str(step) / name)
  except Exception as error:
    raise Damaged(f'{name} cannot be read: {error!r}') from error
  if reason := digests.damage(tree, about['arrays'][name]):
    raise Damaged(f'in {name}, {reason}')
  return tree


def _check_structure(step, saved, wanted) -> None:
  lines = [f'{name}/{line}' for name in sorted(saved | wanted)
           for line in digests.differences(
               saved.get(name, {}), wanted.get(name, {}))]
  if lines:
    rest = f'\n  ... and {len(lines) - 5} more' if len(lines) > 5 else ''
    raise errors.InputError(
        f'Step {step} was saved by another model or optimizer (saved -> now):'
        + ''.join(f'\n  {line}' for line in lines[:5]) + rest)


def _items(state) -> dict[str, Any]:
  """Returns the items of a state, the typed key as its data."""
  rest = {'opt_state': state.opt_state, 'step': state.step,
          'rng': jax.random.key_data(state.rng)}
  if state.averaged is not None:
    rest['averaged'] = state.averaged
  items = {'params': state.params, 'rest': rest}
  kept = {'ema': state.ema, 'carry': state.carry}
  return items | {k: v for k, v in kept.items() if v is not None}


def _on_host(state) -> dict[str, Any]:
  """Returns copies of the items as nested dicts, one level a path's part."""
  def nested(tree):
    root = {}
    for path, leaf in trees.items(jax.device_get(tree)):
      *parents, name = path.split('/')
      node = root
      for parent in parents:
        node = node.setdefault(parent, {})
      node[name] = np.array(leaf)  # A copy: the next step reuses the memory.
    return root
  return {name: nested(tree) for name, tree in _items(state).items()}


def _fill(found, wanted, target) -> step_lib.TrainState:
  """Returns the arrays found as a state of the target's structure."""
  items = {}
  for name, tree in wanted.items():
    leaves = dict(trees.items(found[name]))
    items[name] = trees.map_paths(lambda path, _: jnp.asarray(leaves[path]),
                                  tree)
  rest = items['rest']
  rng = jax.random.wrap_key_data(
      rest['rng'], impl=jax.random.key_impl(target.rng))
  return step_lib.TrainState(
      step=rest['step'], params=items['params'], opt_state=rest['opt_state'],
      rng=rng, ema=items.get('ema'), averaged=rest.get('averaged'),
      carry=items.get('carry'))
