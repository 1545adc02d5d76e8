"""Makes the results of a finished run, where a failure leaves out only one."""
from collections.abc import Callable
import sys
from typing import TypeVar

from lmjax.core import cli
from lmjax.core import errors

T = TypeVar('T')


class Attempts:
  """Makes results one after another; a failure leaves out that one only.

  Attributes:
    missing: The reason for each result that could not be made, by its name.

  Example:
    >>> attempts = Attempts()
    >>> attempts.make('scores', lambda: [1.25])
    [1.25]
    >>> def draw():
    ...   raise errors.RunError('the font is missing.')
    >>> attempts.make('curve', draw)
    >>> attempts.missing
    {'curve': 'the font is missing.'}
  """

  def __init__(self):
    self.missing: dict[str, str] = {}

  def make(self, name: str, function: Callable[[], T]) -> T | None:
    """Returns the function's result, or None if it raises an exception.

    The traceback of a bug is printed, as it would be without attempts.
    """
    try:
      return function()
    except Exception as error:  # pylint: disable=broad-exception-caught
      self.missing[name] = cli.sentence(error)
      if not isinstance(error, errors.InputError | errors.RunError):
        sys.excepthook(type(error), error, error.__traceback__)
      return None

  def finish(self) -> None:
    """Checks that no result is missing; to be called after the last one.

    Raises:
      RunError: If results are missing, with their names and the reasons.
    """
    if self.missing:
      raise errors.RunError(
          'Everything was written except for '
          + ', '.join(f'the {name} ({reason.rstrip(".")})'
                      for name, reason in self.missing.items())
          + '. The same command makes what is missing.')
