"""Reading of checkpoints: lists, verifies and reads the steps on disk.

Nothing here writes, so read-only copies can be used. Orbax does not detect a
flipped bit and never tries an older step. Here digests detect damage, and the
next older step is tried.

Orbax is imported only where it is used, as it doubles the time of `--help`.
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
from lmjax.core.files import safe_paths
from lmjax.core.files import strict_json
from lmjax.core import terminal

T = TypeVar('T')
_logger = logging.getLogger(__name__)


class Damaged(Exception):
  """A step is damaged; the message has the part and the reason."""


def steps(directory: pathlib.Path) -> list[int]:
  """Returns the complete steps; a step being written has another name."""
  if not directory.is_dir():
    return []
  return sorted(int(p.name) for p in directory.iterdir() if p.name.isdigit())


def by_score(directory: pathlib.Path) -> list[tuple[float, int]]:
  """Returns pairs (score, step), the best first and newer before older steps.

  Steps without a score, or with an unreadable one, count as worst.
  """
  return _ranked(directory, math.inf)


def about(directory: pathlib.Path, step: int) -> dict[str, Any]:
  """Returns the description of a step, the JSON item 'about'.

  Raises:
    Damaged: If the description is not as it was written.
    InputError: If the step has links that lead out of `directory`.
  """
  safe_paths.check_tree(directory, str(step))  # Readers follow every link.
  try:  # Orbax's JsonSave writes this file.
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
    directory: The directory of the steps.
    step: The step.
    name: The name of the item, such as 'params'.
    facts: The step's description, from `about`.

  Raises:
    Damaged: If an array is not as it was written.
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
  except MemoryError:  # The files may be intact.
    raise
  except Exception as error:  # Orbax's parsers raise many kinds of exceptions.
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
  """Reads the first of several steps that is not damaged.

  Args:
    directory: The directory of the steps.
    step: A number, 'best' or 'latest'. If the best or latest step is damaged,
      the next best or next older step is read.
    read: Function that reads a step or raises `Damaged`.
    on_damaged: 'older', or 'fail' to try only the first step.
    hint: Text at the end of the warning about damaged steps.

  Returns:
    The step, the output of `read`, and pairs (step, reason) for damaged steps.

  Raises:
    InputError: If there is no such step, or all steps to try are damaged.
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
        f'In {directory}, {_listed(skipped)}. With --on_damaged=older the '
        f'first intact step of {candidates[1:]} is used.')
  raise errors.InputError(
      f'No intact checkpoint is left in {directory}: {_listed(skipped)}.')


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
  if step == 'best':  # A step with an unreadable score may be the best.
    return [number for _, number in _ranked(directory, -math.inf)]
  if step in there:
    return [step]
  raise errors.InputError(
      f'There is no step {step!r} in {directory}; choose "best", "latest" or '
      f'one of {there}.')


def _listed(skipped):
  return terminal.printable('; '.join(
      f'step {number} is damaged ({reason})' for number, reason in skipped))
