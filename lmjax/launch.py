"""How one start of a run behaves; nothing that a result depends on."""
from collections.abc import Callable
import dataclasses
from typing import Literal

from absl import flags

from lmjax.core import errors


@dataclasses.dataclass(frozen=True)
class Launch:
  """What a person decides when starting a run, or starting it again.

  Attributes:
    on_damaged: Where the newest checkpoint is damaged: take the newest sound
      one ('older'), or 'fail'.
    takeover: Whether to take the directory from the run that holds it.
    override: Fields of the config that may differ from the saved run's.
    expect_params: How many parameters the model should have; None: any number.
    watchdog_s: Seconds that a step, an evaluation or a batch may take before
      the run is ended with all its stacks; None waits forever.
  """
  on_damaged: Literal['older', 'fail'] = 'older'
  takeover: bool = False
  override: tuple[str, ...] = ()
  expect_params: int | None = None
  watchdog_s: float | None = 3600.0

  def check_params(self, count: int) -> None:
    """Raises InputError if a model of `count` parameters is not expected."""
    if self.expect_params is not None and count != self.expect_params:
      raise errors.InputError(
          f'The model has {count:,} parameters; --expect_params says '
          f'{self.expect_params:,}. Look for a field that is not what you '
          'think with --dry_run.')


def define_flags() -> Callable[[], Launch]:
  """Defines the flags of a start; returns what reads them, once parsed."""
  on_damaged = flags.DEFINE_enum(
      'on_damaged', 'older', ['older', 'fail'],
      'Where the newest checkpoint is damaged: take an older one, or stop.')
  takeover = flags.DEFINE_bool(
      'takeover', False, 'Take the directory from the run that holds it.')
  override = flags.DEFINE_multi_string(
      'override', [], 'A field that may differ from the saved run\'s, such as '
      'optimizer.learning_rate; may be repeated.')
  expect_params = flags.DEFINE_integer(
      'expect_params', None, 'How many parameters the model should have.',
      lower_bound=1)
  watchdog_s = flags.DEFINE_float(
      'watchdog_s', 3600, 'Seconds that a step, an evaluation or a batch may '
      'take; 0 waits forever.', lower_bound=0)
  return lambda: Launch(
      on_damaged.value, takeover.value, tuple(override.value),
      expect_params.value, watchdog_s.value or None)
