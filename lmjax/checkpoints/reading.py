"""Reading of checkpoints: lists, verifies and reads the steps on disk.

Nothing here writes, so read-only copies can be used. Orbax does not detect a
flipped bit and never tries an older step. Here digests detect damage, and the
next older step is tried. Steps may be read while a run is saving and deleting
others.

Orbax is imported only where it is used, as it doubles the time of `--help`.
"""
from collections.abc import Callable, Iterator, Sequence
import contextlib
import logging
import math
import pathlib
from typing import Any, TypeVar

import numpy as np

from lmjax.checkpoints import alone
from lmjax.checkpoints import stragglers
from lmjax.core import digests
from lmjax.core import errors
from lmjax.core.files import plain
from lmjax.core.files import safe_paths
from lmjax.core.files import strict_json
from lmjax.core import terminal
from lmjax.core import trees

T = TypeVar('T')
_logger = logging.getLogger(__name__)
_TOGETHER = 32 << 20  # Bytes of arrays that are verified together.
_DELETED = 100  # Steps in a row that may be deleted before they are read.


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
  try:
    safe_paths.check_tree(directory, str(step))  # Readers follow every link.
    # Orbax's JsonSave writes this file.
    facts = strict_json.read(directory / str(step) / 'about/metadata')
  except errors.InputError:  # A link; no reason to use an older step.
    raise
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
    directory: pathlib.Path, step: int, name: str, facts: dict[str, Any],
    paths: Sequence[str] | None = None,
) -> dict[str, Any]:
  """Returns an item as nested dicts of NumPy arrays, verified.

  Args:
    directory: The directory of the steps.
    step: The step.
    name: The name of the item, such as 'params'.
    facts: The step's description, from `about`.
    paths: The arrays to read, such as 'layer_0/kernel'; None reads all.

  Raises:
    Damaged: If an array is not as it was written.
  """
  import orbax.checkpoint as ocp
  saved, args = facts['arrays'].get(name), ocp.args.PyTreeRestore()
  if paths is not None:
    saved = {path: saved[path] for path in paths}
    args = ocp.args.PyTreeRestore(  # An array that is missing stays empty.
        trees.nested((path, np.empty(0)) for path in paths),
        partial_restore=True)
  with _opened(directory, step, name) as (handler, path):
    tree = handler.restore(path, args=args)
    reason = digests.damage(tree, saved, f'{name}/')
  if reason:
    raise Damaged(reason)
  return tree


def verify(directory: pathlib.Path, step: int) -> None:
  """Reads a step, a few arrays at a time, to check that it can be restored.

  Raises:
    Damaged: If its description or an array is not as it was written.
  """
  facts = about(directory, step)
  for name, saved in facts['arrays'].items():
    with _opened(directory, step, name) as (handler, path):
      found = dict(trees.items(handler.metadata(path).tree))
      if unknown := found.keys() - saved.keys():
        raise Damaged(f'array {name}/{min(unknown)}: was never saved')
    for paths in _parts(saved):
      item(directory, step, name, facts, paths)


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
  skipped, deleted = {}, 0
  while left := [n for n in _candidates(directory, step) if n not in skipped]:
    try:
      found = read(left[0])
    except Damaged as error:
      if _exists(directory, left[0]):
        skipped[left[0]] = str(error)
        if on_damaged == 'fail':
          break
      elif (deleted := deleted + 1) == _DELETED:
        raise errors.InputError(
            f'The run that writes to {directory} has deleted {deleted} steps '
            'before they could be read. Let it keep more of them '
            '(--config.training.keep_last), or save less often.') from error
      continue  # A running run may have deleted it since; list them again.
    if skipped:
      plural = 's' * (len(skipped) > 1)
      _logger.warning(
          '%s; using step %d. %d checkpoint%s skipped.%s', _listed(skipped),
          left[0], len(skipped), plural, hint)
    return left[0], found, tuple(skipped.items())
  raise errors.InputError(_refusal(directory, step, skipped, left[1:]))


@contextlib.contextmanager
def _opened(directory, step, name):
  """Yields a handler of items and the path of one; its errors are damage."""
  from etils import epath
  import orbax.checkpoint as ocp
  stragglers.silence()
  handler = ocp.PyTreeCheckpointHandler(**alone.options())
  with plain.path(directory) as place, contextlib.closing(handler):
    try:
      safe_paths.safe_join(directory / str(step), name)
      yield handler, epath.Path(place, str(step), name)
    except (MemoryError, Damaged):  # Without memory, files may be intact.
      raise
    except Exception as error:  # Orbax's parsers raise many kinds of them.
      first = (str(error).splitlines() or [''])[0][:200]
      raise Damaged(
          f'{name} cannot be read: {type(error).__name__}: {first}') from error


def _parts(saved: digests.Description) -> Iterator[list[str]]:
  """Yields the paths of arrays, in lists of up to 32 MiB or one array."""
  part, size = [], 0
  for path, leaf in saved.items():
    needed = math.prod(leaf['shape']) * np.dtype(leaf['dtype']).itemsize
    if part and size + needed > _TOGETHER:
      yield part
      part, size = [], 0
    part.append(path)
    size += needed
  if part:
    yield part


def _exists(directory, step):
  return (directory / str(step)).exists()


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
  if str(step).isdecimal() and int(step) in there:
    return [int(step)]
  raise errors.InputError(
      f'There is no step {step!r} in {directory}; choose "best", "latest" or '
      f'one of {there}.')


def _refusal(directory, step, skipped, left):
  """Returns why no step was read; `left` are steps that were not tried."""
  if step not in ('best', 'latest'):
    return (f'In {directory}, {_listed(skipped)}; there are steps '
            f'{steps(directory)}.')
  if left:
    return (f'In {directory}, {_listed(skipped)}. With --on_damaged=older the '
            f'first intact step of {left} is used.')
  return f'No intact checkpoint is left in {directory}: {_listed(skipped)}.'


def _listed(skipped):
  return terminal.printable('; '.join(
      f'step {number} is damaged ({reason})'
      for number, reason in skipped.items()))
