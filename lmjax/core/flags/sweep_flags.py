"""Command-line flags that give several values to fields of a config.

  --sweep.a.b=1,2          tries both values of the field a.b
  --sweep.a.kind=X,Y       tries both kinds of the part a
  --sweep.a.b=["x,y","z"]  the same as JSON, for values that contain commas
"""
from collections.abc import Mapping, Sequence
import json
import re
from typing import Any

from lmjax.core import errors
from lmjax.core.flags import config_flags
from lmjax.core.flags import named as named_lib

_FIELD = re.compile(r'--?sweep\.([^=]+)=(.*)', re.DOTALL)


class SweepFlag(config_flags.ConfigFlag):
  """The flag --config with --config.PATH flags, and the --sweep.PATH flags.

  Attributes:
    swept: {path: texts of the values to try}, in the order of the flags.
  """

  def __init__(self, named: named_lib.Named, short: Mapping[str, str],
               workdir: str | None = None):
    super().__init__(named, short, workdir)
    self.swept: dict[str, list[str]] = {}

  def take(self, args: Sequence[str]) -> list[str]:
    """Stores the --config.PATH and --sweep.PATH flags; returns the others."""
    rest = []
    for arg in args:
      if found := _FIELD.fullmatch(arg):
        path, text = found.groups()
        if path in self.swept:
          raise errors.InputError(
              f'--sweep.{path} is given twice; give all values in one flag.')
        self.swept[path] = parse(text, f'--sweep.{path}')
      else:
        rest.append(arg)
    return super().take(rest)


def parse(text: str, flag: str) -> list[str]:
  """Returns the texts of the values in a list.

  Args:
    text: Values with commas between them, or a JSON list.
    flag: The name of the flag in messages.

  Raises:
    InputError: If a value is empty, or the text begins like a JSON list but is
      none.

  Example:
    >>> parse('1e-3,3e-3', '--sweep.rate'), parse('[["a"], null]', '--sweep.x')
    (['1e-3', '3e-3'], ['["a"]', 'none'])
  """
  if text.startswith('['):
    try:
      return [_text(value) for value in json.loads(text)]
    except ValueError as error:
      raise errors.InputError(
          f'{flag} should be values separated by commas, or a JSON list of '
          f'values; got {text!r} ({error}).') from None
  found = text.split(',')
  if not all(found):
    raise errors.InputError(
        f'{flag} has an empty value in {text!r}; write "" in a JSON list for '
        'the empty text.')
  return found


def _text(value: Any) -> str:
  if value is None:
    return 'none'
  return value if isinstance(value, str) else json.dumps(value)
