"""JSON files beside a model's weights, which anyone may have written."""
import pathlib
from typing import Any

from lmjax.core import errors
from lmjax.core.files import safe_paths
from lmjax.core.files import strict_json

_WORDS = {dict: 'an object', list: 'a list'}


def read(folder: pathlib.Path, name: str, kind: type = dict) -> Any:
  """Returns the value in a JSON file of a folder; None without the file.

  Args:
    folder: The folder.
    name: The file's name, or its path in the folder.
    kind: The type of value that it should hold, dict or list.

  Raises:
    InputError: If the file holds another type of value or no JSON (see
      `strict_json`), or is a link that leads out of the folder.
  """
  path = safe_paths.safe_join(folder, name)
  if not path.exists():
    return None
  try:
    found = strict_json.read(path)
    if not isinstance(found, kind):
      raise ValueError(f'it should hold {_WORDS[kind]}')
  except (OSError, ValueError) as error:
    raise errors.InputError(f'{path} cannot be read: {error}.') from None
  return found
