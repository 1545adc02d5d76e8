"""What every source of text gives: documents, one str each."""
import collections
from collections.abc import Iterator
from typing import Any

from lmjax.core import errors


class Source:
  """Text as documents: the interface of all configs in `sources`.

  A subclass is a frozen dataclass that reads text in `_read` and tells by
  `fingerprint` when that text has changed. Reading twice gives the same
  documents in the same order.
  """

  def documents(
      self, counts: collections.Counter | None = None) -> Iterator[str]:
    """Yields each document; those that hold no visible character are dropped.

    Args:
      counts: Receives how many documents came, and what was dropped or
        repaired on the way, by a plain name each.

    Raises:
      InputError: If the text cannot be read, or there is none at all.
    """
    counts = collections.Counter() if counts is None else counts
    is_empty = True
    for number, text in enumerate(self._read(counts), 1):
      if not text.isascii():
        utf8(text, f'Document {number} of {self.describe()}')
      if not text or text.isspace():
        counts['empty documents dropped'] += 1
        continue
      is_empty = False
      counts['documents'] += 1
      yield text
    if is_empty:
      raise errors.InputError(
          f'{self.describe()} holds no text; give it at least one document.')

  def fingerprint(self) -> dict[str, Any]:
    """Returns JSON that differs when the documents may differ."""
    raise TypeError(f'{type(self).__name__} should define fingerprint.')

  def contents(self) -> dict[str, str]:
    """Returns what the text is in, by name: size and hash of each file.

    It reads all of them, so it is for when the text is read anyway.
    """
    return {}

  def describe(self) -> str:
    """Returns the source as a person would name it."""
    return repr(self)

  def _read(self, counts: collections.Counter) -> Iterator[str]:
    raise TypeError(f'{type(self).__name__} should define _read.')


def utf8(text: str, name: str = 'The text') -> bytes:
  """Returns the text's UTF-8 bytes.

  Args:
    text: Any str.
    name: How a message names it.

  Raises:
    InputError: On a lone surrogate, which JSON escapes and broken file names
      can bring into a str although no UTF-8 text can hold it.
  """
  try:
    return text.encode('utf-8')
  except UnicodeEncodeError as error:
    raise errors.InputError(
        f'{name} has a lone surrogate {text[error.start]!a} at character '
        f'{error.start}, which is no Unicode text; replace or remove it.'
    ) from None
