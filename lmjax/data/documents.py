"""The interface of sources of text, which yield documents, one str each."""
import collections
from collections.abc import Iterator
from typing import Any

from lmjax.core import errors
from lmjax.data import facts


class Source:
  """A source of text: the base class of all configs in `sources`.

  A subclass is a frozen dataclass that reads text in `_read` and whose
  `fingerprint` changes when the text does. Reading twice gives the same
  documents in the same order.
  """

  def documents(
      self, counts: collections.Counter | None = None) -> Iterator[str]:
    """Yields each document; drops documents without a visible character.

    Args:
      counts: Receives the number of documents, and the numbers of dropped and
        repaired ones, each under a readable name.

    Raises:
      InputError: If the text cannot be read, or no document is left.
    """
    counts = collections.Counter() if counts is None else counts
    is_empty = True
    for number, text in enumerate(self._read(counts), 1):
      if not text.isascii():
        check(text, f'Document {number} of {self.describe()}')
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
    """Returns JSON types that differ when the documents may differ."""
    raise TypeError(f'{type(self).__name__} should define fingerprint.')

  def contents(self) -> dict[str, str]:
    """Returns {name: size and hash} of each file with text.

    Reads all files, so call it only when the text is read anyway.
    """
    return {}

  def notes(self) -> tuple[str, ...]:
    """Returns sentences on the text that a reader of results must know."""
    return ()

  def describe(self) -> str:
    """Returns the source's name for messages."""
    return repr(self)

  def _read(self, counts: collections.Counter) -> Iterator[str]:
    raise TypeError(f'{type(self).__name__} should define _read.')


def check(text: str, name: str = 'The text') -> None:
  """Checks that a text has UTF-8 bytes, without taking memory for all of them.

  Args and Raises: See `utf8`.
  """
  try:
    for piece in facts.pieces(text):
      piece.encode()
  except UnicodeEncodeError:
    utf8(text, name)


def utf8(text: str, name: str = 'The text') -> bytes:
  """Returns the text's UTF-8 bytes.

  Args:
    text: Any str.
    name: Name of the text in messages.

  Raises:
    InputError: If the text has a lone surrogate, which JSON escapes and broken
      file names can bring into a str, but which UTF-8 cannot encode.
  """
  try:
    return text.encode('utf-8')
  except UnicodeEncodeError as error:
    raise errors.InputError(
        f'{name} has a lone surrogate {text[error.start]!a} at character '
        f'{error.start}, which is not Unicode text; replace or remove it.'
    ) from None
