"""Reads the texts that a script takes from a file, one per line."""
import collections
import json

from lmjax.core import errors
from lmjax.data.text import files

_MAX_LINE_BYTES = 16 << 20


def read(path: str) -> list[str]:
  """Returns the texts of a file, one per line, without blank lines.

  If the first line is a JSON object with a "prompt", all lines should be.

  Args:
    path: A file in UTF-8, plain or `.gz`, a pipe, or '-' for standard input.

  Raises:
    InputError: If the file cannot be read or is empty, or a line has no prompt
      in a file of JSON objects.
  """
  lines = [
      (number, line) for name in files.expand([path])
      for number, line in files.lines(
          name, 'fail', _MAX_LINE_BYTES, collections.Counter())
      if line.strip()]
  if not lines:
    raise errors.InputError(f'{path} is empty; write one text per line.')
  if _from_json(lines[0][1]) is None:
    return [line for _, line in lines]
  texts = []
  for number, line in lines:
    texts.append(_from_json(line))
    if texts[-1] is None:
      raise errors.InputError(
          f'{path}:{number}: should be a JSON object with a "prompt", as line '
          f'{lines[0][0]} is; got {line[:60]!r}.')
  return texts


def _from_json(line: str) -> str | None:
  """Returns the prompt of a JSON line, or None if there is none."""
  try:
    value = json.loads(line)
  except (ValueError, RecursionError):
    return None
  prompt = value.get('prompt') if isinstance(value, dict) else None
  return prompt if isinstance(prompt, str) else None
