"""Checkpoints as they lie on disk: which there are, and which are sound.

Nothing here writes, so it works on a copy that cannot be written to. Orbax does
not notice a flipped bit and never tries an older step: here digests notice,
and the next older step is tried.

Orbax is imported where it is used: it doubles the time of `--help`.
"""
from collections.abc import Callable
import logging
import math
import pathlib
from typing import Any, TypeVar

from lmjax.checkpoints import alone
from lmjax.checkpoints import stragglers
from lmjax.core import digests
from lmjax.core import errors
from lmjax.core import safe_paths
from lmjax.core import strict_json
from lmjax.core import terminal

T = TypeVar('T')
_logger = logging.getLogger(__name__)


class Damaged(Exception):
  """A step that cannot be trusted; says which part of it and why."""


def steps(directory: pathlib.Path) -> list[int]:
  """Returns the committed steps; one being written has another name."""
  if not directory.is_dir():
    return []
  return sorted(int(p.name) for p in directory.iterdir() if p.name.isdigit())


def by_score(directory: pathlib.Path) -> list[tuple[float, int]]:
  """Returns (score, step), best first, the newest of equals first.

  Steps that have no score, or cannot say it, count as worst.
  """
  return _ranked(directory, math.inf)


def about(directory: pathlib.Path, step: int) -> dict[str, Any]:
  """Returns what a step says of itself.

  Raises:
    Damaged: If that is not what was written.
    InputError: If the step has links to what is not in `directory`.
  """
  safe_paths.check_tree(directory, str(step))  # Readers follow every link.
  try:  # As Orbax's JsonSave writes it.
    facts = strict_json.read(directory / str(step) / 'about/metadata')
  except (OSError, ValueError) as error:
    raise Damaged(f'its description cannot be read: {error!r}') from error
  if not digests.is_intact(facts):
    raise Damaged('its description is not what was written: digest mismatch')
  if not (isinstance(facts.get('arrays'), dict) and isinstance(
      facts.get('score'), int | float | None)):
    raise Damaged('its description lacks its arrays or its score')
  if facts['step'] != step:
    raise Damaged(f'it is step {facts["step"]} under another name')
  return facts


def item(
    directory: pathlib.Path, step: int, name: str, facts: dict[str, Any]
) -> dict[str, Any]:
  """Returns an item as nested dicts of NumPy arrays, verified.

  Args:
    directory: Where the steps lie.
    step: Which.
    name: Of the item.
    facts: What `about` returned.

  Raises:
    Damaged: If an array is not what was written.
  """
  import orbax.checkpoint as ocp
  stragglers.silence()
  try:
    one = alone.options()
    with ocp.Checkpointer(
        ocp.PyTreeCheckpointHandler(**one), **one) as reader:
      tree = reader.restore(safe_paths.safe_join(
          directory / str(step), name))
    reason = digests.damage(tree, facts['arrays'][name], f'{name}/')
  except MemoryError:  # No fault of the files.
    raise
  except Exception as error:  # Orbax raises whatever its parsers raise.
    first = (str(error).splitlines() or [''])[0][:200]
    raise Damaged(
        f'{name} cannot be read: {type(error).__name__}: {first}') from error
  if reason:
    raise Damaged(reason)
  return tree


def first_sound(
    directory: pathlib.Path, step: int | str, read: Callable[[int], T],
    on_damaged: str = 'older', hint: str = '',
) -> tuple[int, T, tuple[tuple[int, str], ...]]:
  """Returns the first step that can be read, and how.

  Args:
    directory: Where the steps lie.
    step: A number, 'best' or 'latest'. The words fall back to the next best
      or next older step where one is damaged.
    read: Reads a step or raises `Damaged`.
    on_damaged: 'older', or 'fail' to try no other step.
    hint: Ends the warning about damaged steps.

  Returns:
    The step, what `read` returned, and (step, reason) of damaged ones.

  Raises:
    InputError: If there is no such step or it is damaged, and so are all that
      could stand in for it.
  """
  candidates = _candidates(directory, step)
  skipped = []
  for number in candidates:
    try:
      found = read(number)
    except Damaged as error:
      skipped.append((number, str(error)))
      if on_damaged == 'fail':
        break
      continue
    if skipped:
      plural = 's' * (len(skipped) > 1)
      _logger.warning(
          '%s; using step %d. %d checkpoint%s skipped.%s', _listed(skipped),
          number, len(skipped), plural, hint)
    return number, found, tuple(skipped)
  if step == candidates[0]:
    raise errors.InputError(
        f'In {directory}, {_listed(skipped)}; there are steps '
        f'{steps(directory)}.')
  if len(skipped) < len(candidates):
    raise errors.InputError(
        f'In {directory}, {_listed(skipped)}. With --on_damaged=older the next '
        f'of {candidates[1:]} that is sound is used.')
  raise errors.InputError(
      f'No sound checkpoint is left in {directory}: {_listed(skipped)}.')


def _ranked(directory, unknown):
  def score(step):
    try:
      value = about(directory, step)['score']
    except Damaged:
      return unknown
    return math.inf if value is None else value
  ranked = [(score(step), step) for step in steps(directory)]
  return sorted(ranked, key=lambda pair: (pair[0], -pair[1]))


def _candidates(directory, step):
  there = steps(directory)
  if not there:
    raise errors.InputError(f'There are no checkpoints in {directory}.')
  if step == 'latest':
    return there[::-1]
  if step == 'best':  # One that cannot say its score may have been it.
    return [number for _, number in _ranked(directory, -math.inf)]
  if step in there:
    return [step]
  raise errors.InputError(
      f'There is no step {step!r} in {directory}; choose "best", "latest" or '
      f'one of {there}.')


def _listed(skipped):
  return terminal.printable('; '.join(
      f'step {number} is damaged ({reason})' for number, reason in skipped))
