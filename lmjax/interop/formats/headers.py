"""JSON that describes tensors: a header or an index, of bounded cost."""
from typing import Any

import numpy as np

from lmjax.core.files import strict_json

MOST_BYTES = 16 << 20
_MOST_COMMAS = 250_000  # 50,000 tensors of a safetensors file have as many.


def read(content: np.ndarray) -> dict[str, Any]:
  """Returns the object that the bytes of a JSON text hold.

  Its values take up to 40 times the memory of the text, and time to match.
  Their number is therefore bounded, too, by that of the commas between them.

  Raises:
    ValueError: If the text is too large, is not JSON (see `strict_json.loads`)
      or does not hold an object.
  """
  if content.size > MOST_BYTES:
    raise ValueError(f'it has {content.size:,} bytes, more than {MOST_BYTES:,}')
  raw = content.tobytes()
  if raw.count(b',') > _MOST_COMMAS:
    raise ValueError(
        f'it has {raw.count(b","):,} commas, more than {_MOST_COMMAS:,}')
  value = strict_json.loads(raw.decode('utf-8'))
  if not isinstance(value, dict):
    raise ValueError('it should hold an object')
  return value
