"""Reads JSON lines: files with one JSON object per line."""
import collections
from collections.abc import Iterator, Mapping
from typing import Any

from lmjax.core import config
from lmjax.core import errors
from lmjax.core.files import strict_json
from lmjax.data.text import files

_MAX_LINE_BYTES = 16 << 20


def rows(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
  """Yields ('path:line', object) for each line that is not blank.

  Args:
    path: A file in UTF-8, plain or `.gz`.

  Raises:
    InputError: If a line is not a JSON object.
  """
  for number, line in files.lines(
      path, 'fail', _MAX_LINE_BYTES, collections.Counter()):
    if line.strip():
      yield f'{path}:{number}', loads(line, f'{path}:{number}')


def loads(line: str, where: str) -> dict[str, Any]:
  """Returns the object of a line; `where` is its place for messages.

  Raises:
    InputError: If the line is not a JSON object.
  """
  try:
    row = strict_json.loads(line, lenient=True)
  except ValueError as error:
    raise errors.InputError(
        f'{where}: not JSON ({error}); if it is the last line, the file is '
        'truncated.') from None
  if not isinstance(row, dict):
    raise errors.InputError(
        f'{where}: should be a JSON object; got {type(row).__name__}.')
  return row


def value(row: Mapping[str, Any], field: str, where: str) -> Any:
  """Returns a field of an object.

  Raises:
    InputError: If the field is missing; suggests the nearest name.
  """
  if field not in row:
    raise errors.InputError(
        f'{where}: no field {field!r} among {sorted(row)[:20]}.'
        f'{config.near(field, row)}')
  return row[field]


def text(row: Mapping[str, Any], field: str, where: str) -> str:
  """Returns a field with text; see `value`."""
  found = value(row, field, where)
  if not isinstance(found, str):
    raise errors.InputError(
        f'{where}: field {field!r} should be a string; got '
        f'{type(found).__name__}.')
  return found
