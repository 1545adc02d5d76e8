"""Batches that a run leaves out, and so which batch each of its steps sees."""
from collections.abc import Sequence
import dataclasses
import json
import os
import pathlib

from lmjax.core import atomic
from lmjax.core import errors
from lmjax.core import safe_paths
from lmjax.core import strict_json

FILE = 'skips.json'


@dataclasses.dataclass(frozen=True)
class Skips:
  """The batches left out; the others come in their order.

  Attributes:
    ranges: Pairs (first batch, one past the last), in order and apart.

  Example:
    >>> skips = Skips().after(step=10, count=3)
    >>> skips.ranges, [skips.index(step) for step in (9, 10, 11)]
    (((10, 13),), [9, 13, 14])
  """
  ranges: tuple[tuple[int, int], ...] = ()

  def __post_init__(self):
    numbers = [number for pair in self.ranges for number in pair]
    if any(len(pair) != 2 for pair in self.ranges) or any(
        a >= b for a, b in zip([-1, *numbers], numbers)):
      raise errors.InputError(
          'skips: ranges should be pairs of batch numbers, all rising; got '
          f'{list(self.ranges)}.')

  @classmethod
  def read(cls, workdir: str | os.PathLike[str]) -> 'Skips':
    """Returns what the run in a directory leaves out; nothing if it says
    nothing.

    Raises:
      InputError: If its skips.json cannot be read.
    """
    path = pathlib.Path(workdir) / FILE
    if not path.exists():
      return cls()
    try:
      found = strict_json.read(safe_paths.safe_join(workdir, FILE))
      return cls(tuple(tuple(map(int, pair)) for pair in found['ranges']))
    except (OSError, ValueError, LookupError, TypeError) as error:
      raise errors.InputError(
          f'{path} cannot be read ({error}): it says which batches the run '
          'leaves out, so mend it before the run goes on.') from error

  def write(self, workdir: str | os.PathLike[str]) -> None:
    """Writes skips.json, all of it or nothing."""
    atomic.write(pathlib.Path(workdir) / FILE,
                 json.dumps({'ranges': self.ranges}) + '\n')

  def index(self, step: int) -> int:
    """Returns the batch that update `step`, from 0, sees."""
    for first, stop in self.ranges:
      if step < first:
        break
      step += stop - first
    return step

  def after(self, step: int, count: int) -> 'Skips':
    """Returns these skips and those of the next `count` batches after `step`.

    What updates step, step + 1, ... would see is left out; earlier updates see
    what they saw.
    """
    numbers = [self.index(step + i) for i in range(count)]
    ranges = sorted([*self.ranges, *((n, n + 1) for n in numbers)])
    joined = ranges[:1]
    for first, stop in ranges[1:]:
      if first == joined[-1][1]:
        joined[-1] = joined[-1][0], stop
      else:
        joined.append((first, stop))
    return Skips(tuple(joined))

  def until(self, step: int) -> 'Skips':
    """Returns the part that matters to the first `step` updates.

    Two runs have seen the same batches if these parts are the same.
    """
    last = self.index(step - 1) if step else -1
    return Skips(tuple(pair for pair in self.ranges if pair[0] < last))

  def check(self, saved: Sequence[Sequence[int]], step: int) -> None:
    """Refuses to go on from a step that other batches have led to.

    Args:
      saved: The ranges that were left out when the step was made.
      step: How many updates have been made.

    Raises:
      InputError: If these updates would see other batches now.
    """
    then = Skips(tuple(tuple(pair) for pair in saved))
    if then.until(step) != self.until(step):
      raise errors.InputError(
          f'{FILE} leaves out the batches {_text(self)}, but step {step} was '
          f'made without {_text(then)}. Put the file back as it was; '
          'experiments/rollback.py is what changes it.')


def _text(skips: Skips) -> str:
  return ', '.join(
      f'{first} to {stop - 1}' for first, stop in skips.ranges) or 'none'
