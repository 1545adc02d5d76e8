"""Encodings of text files other than UTF-8."""
import codecs
import functools
import io
from typing import Any

from lmjax.core import config
from lmjax.core import errors

_COMMON = ('utf-8', 'latin-1', 'cp1252', 'utf-16', 'shift_jis', 'gb18030')
_PART_BYTES = 1 << 16
_BAD = 'lmjax.bad'  # A handler of errors, in Python's table of handlers.
_BOMS = {codecs.BOM_UTF16_LE: 'utf-16', codecs.BOM_UTF16_BE: 'utf-16'}


def check(encoding: str) -> None:
  """Checks that an encoding is one that Python's `codecs` knows.

  Raises:
    InputError: If it is not; the message suggests the nearest.
  """
  try:
    'a'.encode(encoding)
  except (LookupError, ValueError):
    raise errors.InputError(
        f'encoding is {encoding!r}; choose one that Python knows, such as '
        f'{", ".join(_COMMON)}.{config.near(encoding, _COMMON)}') from None


def advice(raw: bytes) -> str:
  """Returns the encodings to try for a file that begins with `raw`."""
  return _BOMS.get(raw[:2], 'latin-1, cp1252 or utf-16')


@functools.cache
def is_wide(encoding: str | None) -> bool:
  """Returns whether a line break takes several bytes, as in UTF-16."""
  return encoding is not None and len(
      '\n'.encode(codecs.lookup(encoding).name.removesuffix('-sig'))) > 1


class Recoded(io.RawIOBase):
  """A binary file whose text is read in UTF-8, whatever its encoding.

  Parts that are malformed become the byte 0xFF, which is not UTF-8.
  """

  def __init__(self, file: Any, encoding: str):
    self._file, self._left = file, b''
    self._decoder = codecs.getincrementaldecoder(encoding)(errors=_BAD)

  def readable(self) -> bool:
    return True

  def readinto(self, into: Any) -> int:
    """Fills `into` with bytes; returns their number, which is 0 at the end."""
    while not self._left:
      raw = self._file.read(_PART_BYTES)
      self._left = self._decoder.decode(raw, final=not raw).encode(
          'utf-8', errors='surrogateescape')
      if not raw:
        break
    size = min(len(into), len(self._left))
    into[:size], self._left = self._left[:size], self._left[size:]
    return size


# 'surrogateescape' writes the character U+DCFF as the byte 0xFF.
codecs.register_error(_BAD, lambda error: ('\udcff', error.end))
