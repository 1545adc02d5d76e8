"""Strict reading of a GGUF file's metadata: each value is used or refused."""
from collections.abc import Mapping
from typing import Any

import numpy as np

_KINDS = {'whole': int, 'real': (int, float), 'truth': bool, 'text': str}


class Keys:
  """The values of an architecture, by their keys without its name.

  Args:
    metadata: All values of the file.
    architecture: The architecture.
  """

  def __init__(self, metadata: Mapping[str, Any], architecture: str):
    self._prefix = f'{architecture}.'
    self._values = {key.removeprefix(self._prefix): value
                    for key, value in metadata.items()
                    if key.startswith(self._prefix)}
    self._taken: set[str] = set()

  def take(self, key: str, kind: str, default: Any = None) -> Any:
    """Returns a value; real numbers have the fewest digits that tell them.

    Args:
      key: Its key.
      kind: 'whole', 'real', 'truth' or 'text'.
      default: The value if there is none.

    Raises:
      ValueError: If it is of another kind.
    """
    self._taken.add(key)
    value = self._values.get(key)
    if value is None:
      return default
    if not isinstance(value, _KINDS[kind]) or (
        isinstance(value, bool) != (kind == 'truth')):
      raise ValueError(
          f'{self._prefix}{key} should be a single {kind} value, but is '
          f'{value!r:.60}')
    if kind == 'real':  # Stored as float32: 1e-05 reads 9.999999747378752e-06.
      return float(str(np.float32(value)))
    return value

  def need(self, key: str, kind: str) -> Any:
    """Returns a value that has to be there; see `take`."""
    found = self.take(key, kind)
    if found is None:
      raise ValueError(f'it has no value for {self._prefix}{key}')
    return found

  def expect(self, key: str, kind: str, *values: Any) -> None:
    """Checks that a value, if it is there, is one of some."""
    found = self.take(key, kind, values[0])
    if found not in values:
      raise ValueError(
          f'{self._prefix}{key} is {found!r:.60}, and is read with '
          f'{" or ".join(map(repr, values))} only')

  def finish(self) -> None:
    """Checks that no value is left over."""
    left = sorted(self._values.keys() - self._taken)
    if left:
      raise ValueError(
          f'{self._prefix}{left[0][:100]} = {self._values[left[0]]!r:.60} is '
          'not known to lmjax, so that the model might compute something else')
