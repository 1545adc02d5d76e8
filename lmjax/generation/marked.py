"""Text with special tokens spelled out, such as <extra_id_0>."""
from collections.abc import Sequence
import re
from typing import Any

import numpy as np


class Marked:
  """A tokenizer that encodes the names of special tokens as their ids.

  In `The <extra_id_0> sat` the name becomes one sentinel, as an encoder like T5
  expects, instead of the ids of its characters. A space before a name belongs
  to the text that the special stands for, if the tokenizer has tokens that
  begin with a space.

  Args:
    tokenizer: The tokenizer of the text between names.
    names: The specials whose names are encoded; None takes all of them.
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
    """Returns the ids of the text, 1-D, with specials for their names."""
    parts = self._split.split(text)  # Text, name, text, name, ..., text.
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
  """Returns whether some tokens begin with the space before a word."""
  return any(len(piece) > 1 and piece[:1] == b' ' for piece in map(
      tokenizer.token_bytes, range(tokenizer.vocab_size)))
