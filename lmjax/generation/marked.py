"""Text in which ids that no text becomes are written by their names."""
from collections.abc import Sequence
import re
from typing import Any

import numpy as np


class Marked:
  """A tokenizer that reads and writes specials by name, where it is asked to.

  `The <extra_id_0> sat` is then what an encoder of T5's kind reads, and not a
  text that says so. A space before a name belongs to what stands in its place,
  where the tokenizer has tokens that begin with one.

  Args:
    tokenizer: The one that knows text.
    names: The specials that have names in text; None: all it has.
  """

  def __init__(self, tokenizer: Any, names: Sequence[str] | None = None):
    names = list(tokenizer.specials) if names is None else names
    self._tokenizer = tokenizer
    self._ids = {name: int(tokenizer.special(name)) for name in names}
    self._names = {id: name.encode() for name, id in self._ids.items()}
    self._split = re.compile(f"({'|'.join(map(re.escape, names))})"
                             if names else '(?!)')
    self._spaced = spaced(tokenizer)

  def __getattr__(self, name: str) -> Any:
    return getattr(self._tokenizer, name)

  def encode(self, text: str) -> np.ndarray:
    """Returns the ids of the text, 1-D: specials where it names them."""
    parts = self._split.split(text)  # Text, then name and text by turns.
    ids = []
    for i, part in enumerate(parts):
      if i % 2:
        ids.append([self._ids[part]])
        continue
      if self._spaced and i + 1 < len(parts):
        part = part.removesuffix(' ')
      ids.append(self._tokenizer.encode(part))
    return np.concatenate([np.asarray(some, np.int64) for some in ids])

  def token_bytes(self, token: int) -> bytes:
    """Returns the UTF-8 bytes of a token, or of its name."""
    return self._names.get(int(token)) or self._tokenizer.token_bytes(token)


def spaced(tokenizer: Any) -> bool:
  """Returns whether words carry the space before them."""
  return any(len(piece) > 1 and piece[:1] == b' ' for piece in map(
      tokenizer.token_bytes, range(tokenizer.vocab_size)))
