"""The batches that a run skips, which decide the batch of each step."""
from collections.abc import Sequence
import dataclasses
import json
import os
import pathlib

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core.files import safe_paths
from lmjax.core.files import strict_json

FILE = 'skips.json'


@dataclasses.dataclass(frozen=True)
class Skips:
  """The skipped batches; the steps see the others in order.

  Attributes:
    ranges: Pairs (first batch, one past the last), ascending and not adjacent.

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
    """Returns the skips of a run directory; without skips.json, there are none.

    Raises:
      InputError: If skips.json cannot be read.
    """
    path = pathlib.Path(workdir) / FILE
    if not path.exists():
      return cls()
    try:
      found = strict_json.read(safe_paths.safe_join(workdir, FILE))
      return cls(tuple(tuple(map(int, pair)) for pair in found['ranges']))
    except (OSError, ValueError, LookupError, TypeError) as error:
      raise errors.InputError(
          f'{path} cannot be read ({error}). It lists the batches that the run '
          'skips; repair it before the run continues.') from error

  def write(self, workdir: str | os.PathLike[str]) -> None:
    """Writes skips.json atomically."""
    atomic.write(pathlib.Path(workdir) / FILE,
                 json.dumps({'ranges': self.ranges}) + '\n')

  def index(self, step: int) -> int:
    """Returns the index of the batch that update `step`, from 0, sees."""
    for first, stop in self.ranges:
      if step < first:
        break
      step += stop - first
    return step

  def after(self, step: int, count: int) -> 'Skips':
    """Returns these skips and the next `count` batches after `step`.

    The batches that updates step, step + 1, ... would see now are skipped;
    earlier updates keep their batches.
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
    """Returns the skips that affect the first `step` updates.

    Two runs have seen the same batches if these skips are the same.
    """
    last = self.index(step - 1) if step else -1
    return Skips(tuple(pair for pair in self.ranges if pair[0] < last))

  def check(self, saved: Sequence[Sequence[int]], step: int) -> None:
    """Checks that a saved step has seen the batches of these skips.

    Args:
      saved: The ranges that were skipped when the step was saved.
      step: The number of updates made until then.

    Raises:
      InputError: If these updates would see other batches now.
    """
    then = Skips(tuple(tuple(pair) for pair in saved))
    if then.until(step) != self.until(step):
      raise errors.InputError(
          f'{FILE} skips the batches {_text(self)}, but up to step {step} the '
          f'run skipped {_text(then)}. Restore the file; only '
          'experiments/rollback.py should change it.')


def _text(skips: Skips) -> str:
  return ', '.join(
      f'{first} to {stop - 1}' for first, stop in skips.ranges) or 'none'
