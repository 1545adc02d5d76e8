"""Checkpoints: Orbax for the files, digests and fallback on top of it.

A step holds the items `params`, `ema` (if kept), `rest` (optimizer state, step
and key) and `about`, a JSON text with the SHA-256 of every array and what the
run wants to know again. Orbax does not notice a flipped bit and never tries an
older step; the digests notice, and `restore` then goes back a step.
"""
from collections.abc import Iterator, Mapping
import dataclasses
import hashlib
import logging
import math
import os
import pathlib
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from lmjax.core import errors
from lmjax.core import trees
from lmjax.training import step as step_lib

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Restored:
  """A checkpoint read back.

  Attributes:
    step: The step it was saved at.
    state: The training state.
    progress: What was handed to `save` as `progress`.
    skipped: Newer steps that were damaged: (step, reason).
  """
  step: int
  state: step_lib.TrainState
  progress: dict[str, Any]
  skipped: tuple[tuple[int, str], ...]


class Damaged(Exception):
  """A step that cannot be trusted; says which part of it and why."""


class Checkpoints:
  """The checkpoints of one run; use it in a `with` block.

  Saving is asynchronous: the arrays are copied and hashed before `save`
  returns, and written behind the training steps that follow.
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
    self._directory = pathlib.Path(directory).absolute()
    self._about = dict(about or {})
    policies = [checkpoint_managers.LatestN(max(keep_last, 1))]
    if keep_best:
      policies.append(checkpoint_managers.BestN(
          get_metric_fn=_score, reverse=True, n=keep_best))
    options = ocp.CheckpointManagerOptions(
        best_fn=_score, best_mode='min', create=True,
        preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies))
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
      progress: Mapping[str, Any] | None = None, score: float | None = None,
  ) -> None:
    """Starts writing a step; raises if an earlier save failed.

    Args:
      step: Its number, above all saved so far.
      state: The state, one copy of it (see `parallel`'s `gather`).
      progress: JSON facts to get back with it.
      score: What `best` means: lower is better. None counts as worst.

    Raises:
      InputError: If the step, or a newer one, is there already.
    """
    newest = self._manager.latest_step()
    if newest is not None and newest >= step:
      raise errors.InputError(
          f'Step {step} cannot be saved in {self._directory}: step {newest} is '
          f'already there. Continue from it, or use another directory.')
    items = _items(state)
    about = {'progress': dict(progress or {}), 'about': self._about,
             'arrays': {name: _describe(tree) for name, tree in items.items()}}
    if score is None or not math.isfinite(score):
      score = sys.float_info.max  # Orbax would keep a NaN as the best.
    args = {name: ocp.args.StandardSave(tree) for name, tree in items.items()}
    if not self._manager.save(
        step, args=ocp.args.Composite(about=ocp.args.JsonSave(about), **args),
        metrics={'score': score}):
      raise RuntimeError(f'Orbax did not write step {step}.')

  def steps(self) -> list[int]:
    """Returns the steps on disk, oldest first."""
    return sorted(self._manager.all_steps())

  def best_step(self) -> int | None:
    """Returns the step with the lowest score; the newest of equals."""
    return self._manager.best_step()

  def restore_latest(self, target: step_lib.TrainState) -> Restored | None:
    """Returns the newest step that is sound; None if there is no step."""
    return self.restore(target, 'latest') if self.steps() else None

  def restore(
      self, target: step_lib.TrainState, step: int | str = 'latest'
  ) -> Restored:
    """Returns a step, verified array by array.

    Args:
      target: A state (or its shapes) with the structure to restore into.
      step: A number, 'best' or 'latest'. Only 'latest' falls back to older
        steps where the newest is damaged.

    Raises:
      InputError: If there is no such step, all are damaged, or parameters have
        other names, shapes or types than the target's.
    """
    self.wait()
    wanted = jax.eval_shape(_bare, target)
    skipped = []
    for number in _candidates(self.steps(), self.best_step(), step,
                              self._directory):
      try:
        about = _about(self._directory, number)
        _compare(number, about['arrays'], wanted)
        found = {name: _verified(self._directory, number, name, about)
                 for name in wanted}
      except Damaged as error:
        _logger.warning('Step %d is damaged (%s).', number, error)
        skipped.append((number, str(error)))
        continue
      return Restored(
          number, _state(found, target), about['progress'], tuple(skipped))
    raise _all_damaged(self._directory, skipped)

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
    step: A number, 'best' or 'latest'; both fall back where it is damaged.
    average: Whether to return the moving average where the run kept one.

  Returns:
    The step's number, and the nested dict of NumPy arrays, verified.

  Raises:
    InputError: If there is no such step, or none is sound.
  """
  directory = pathlib.Path(directory).absolute()
  if not directory.is_dir():
    raise errors.InputError(f'There are no checkpoints: {directory} is absent.')
  with ocp.CheckpointManager(directory, options=ocp.CheckpointManagerOptions(
      best_fn=_score, best_mode='min', read_only=True)) as manager:
    steps, best = sorted(manager.all_steps()), manager.best_step()
  skipped = []
  for number in _candidates(steps, best, step, directory, fall_back=True):
    try:
      about = _about(directory, number)
      name = 'ema' if average and 'ema' in about['arrays'] else 'params'
      return number, _verified(directory, number, name, about)
    except Damaged as error:
      _logger.warning('Step %d is damaged (%s).', number, error)
      skipped.append((number, str(error)))
  raise _all_damaged(directory, skipped)


def _score(metrics) -> float:
  return metrics['score']


def _bare(state) -> dict[str, Any]:
  """Returns the items of a state as plain trees, typed keys as their data."""
  items = {'params': state.params,
           'rest': {'opt_state': state.opt_state, 'step': state.step,
                    'rng': jax.random.key_data(state.rng)}}
  return items if state.ema is None else items | {'ema': state.ema}


def _items(state) -> dict[str, Any]:
  """Returns the items on the host, as nested dicts of the leaves' paths."""
  def copy(leaf):  # The next step reuses the memory.
    return np.array(jax.device_get(leaf))
  return {name: _nested({path: copy(leaf) for path, leaf in trees.items(tree)})
          for name, tree in _bare(state).items()}


def _nested(leaves) -> dict[str, Any]:
  tree = {}
  for path, leaf in leaves.items():
    *parents, name = path.split('/')
    node = tree
    for parent in parents:
      node = node.setdefault(parent, {})
    node[name] = leaf
  return tree


def _state(found, target) -> step_lib.TrainState:
  """Returns the arrays found in the structure of `target`."""
  def fill(name, tree):
    leaves = dict(trees.items(found[name]))
    return trees.map_paths(lambda path, _: jnp.asarray(leaves[path]), tree)
  items = {name: fill(name, tree)
           for name, tree in jax.eval_shape(_bare, target).items()}
  rest = items['rest']
  rng = jax.random.wrap_key_data(
      rest['rng'], impl=jax.random.key_impl(target.rng))
  return step_lib.TrainState(
      step=rest['step'], params=items['params'], opt_state=rest['opt_state'],
      rng=rng, ema=items.get('ema'))


def _describe(tree) -> dict[str, dict[str, Any]]:
  return {path: {'sha256': _sha256(leaf), 'dtype': str(leaf.dtype),
                 'shape': list(leaf.shape)} for path, leaf in trees.items(tree)}


def _sha256(leaf) -> str:
  data = np.ascontiguousarray(leaf).reshape(-1).view(np.uint8)
  return hashlib.sha256(data).hexdigest()


def _candidates(steps, best, step, directory, fall_back=False) -> Iterator[int]:
  """Yields the steps to try: the one asked for, then, falling back, others."""
  if not steps:
    raise errors.InputError(f'There are no checkpoints in {directory}.')
  first = {'latest': steps[-1], 'best': best or steps[-1]}.get(step, step)
  if first not in steps:
    raise errors.InputError(
        f'There is no step {step!r} in {directory}; choose "best", "latest" or '
        f'one of {steps}.')
  yield first
  if step == 'latest' or (fall_back and step == 'best'):
    yield from (s for s in reversed(steps) if s != first)


def _about(directory, step) -> dict[str, Any]:
  try:
    with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
      return reader.restore(directory / str(step) / 'about')
  except Exception as error:  # Orbax raises whatever its parsers raise.
    raise Damaged(f'its description cannot be read: {error!r}') from error


def _verified(directory, step, name, about) -> dict[str, Any]:
  """Returns an item as NumPy arrays whose digests are those saved."""
  try:
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
      tree = reader.restore(directory / str(step) / name)
  except Exception as error:
    raise Damaged(f'{name} cannot be read: {error!r}') from error
  saved = about['arrays'][name]
  for path, leaf in trees.items(tree):
    if path not in saved or _sha256(leaf) != saved[path]['sha256']:
      raise Damaged(f'array {name}/{path}: digest mismatch')
  missing = saved.keys() - dict(trees.items(tree)).keys()
  if missing:
    raise Damaged(f'arrays are missing: {sorted(missing)}')
  return tree


def _compare(step, saved, wanted) -> None:
  """Raises InputError where a step does not fit the target's structure."""
  def table(items):
    return {f'{name}/{path}': (leaf['dtype'], tuple(leaf['shape']))
            if isinstance(leaf, dict) else (str(leaf.dtype), leaf.shape)
            for name, leaves in items.items() for path, leaf in leaves}
  old = table({name: arrays.items() for name, arrays in saved.items()})
  new = table({name: trees.items(tree) for name, tree in wanted.items()})
  lines = [f'{path}: {old.get(path, "absent")} -> {new.get(path, "absent")}'
           for path in sorted(old | new) if old.get(path) != new.get(path)]
  if lines:
    rest = f'\n  ... and {len(lines) - 5} more' if len(lines) > 5 else ''
    raise errors.InputError(
        f'Step {step} was saved by another model or optimizer (saved -> now):'
        + ''.join(f'\n  {line}' for line in lines[:5]) + rest)


def _all_damaged(directory, skipped) -> errors.InputError:
  listed = '; '.join(f'step {step}: {reason}' for step, reason in skipped)
  return errors.InputError(
      f'No sound checkpoint is left in {directory}: {listed}.')
