"""Text that any terminal can show, and that does not control it."""
import io
from typing import TextIO
import unicodedata

# They reorder the text around them, which can disguise its meaning.
_BIDI = frozenset('\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e'
                  '\u2066\u2067\u2068\u2069')


def printable(text: str) -> str:
  r"""Returns the text without characters that control a terminal.

  Control characters (C0, DEL and C1, including the escape character that starts
  every ANSI sequence), surrogates and bidirectional controls are removed;
  newlines and tabs are kept. Each character is decided on its own, so pieces of
  a stream can be cleaned one at a time.

  Example:
    >>> printable('\x1b]0;title\x07two\n\tlines')
    ']0;titletwo\n\tlines'
  """
  return ''.join(c for c in text if c in '\n\t' or (
      unicodedata.category(c) not in ('Cc', 'Cs') and c not in _BIDI))


def escape_unencodable(*files: TextIO) -> None:
  r"""Makes files write characters that their encoding lacks as escapes.

  The encoding of standard output may be ASCII (PYTHONIOENCODING, an old
  locale), and then printing other text would fail.

  Example:
    >>> file = io.TextIOWrapper(io.BytesIO(), encoding='ascii')
    >>> escape_unencodable(file)
    >>> print('Gr\u00fc\u00dfe', file=file, flush=True)
    >>> file.buffer.getvalue()
    b'Gr\\xfc\\xdfe\n'
  """
  for file in files:
    if isinstance(file, io.TextIOWrapper):  # Not of a notebook or a test.
      file.reconfigure(errors='backslashreplace')
