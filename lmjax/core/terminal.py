"""What of a model's text may reach a terminal."""
import unicodedata

# They reorder the text around them, so that it reads as what it is not.
_BIDI = frozenset('\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e'
                  '\u2066\u2067\u2068\u2069')


def printable(text: str) -> str:
  r"""Returns the text without what steers a terminal rather than being read.

  Control characters (C0, DEL and C1, among them the escape that begins every
  ANSI sequence), surrogates and bidirectional controls go; newlines and tabs
  stay. Characters are judged one by one, so pieces of a stream can be cleaned
  as they come.

  Example:
    >>> printable('\x1b]0;title\x07two\n\tlines')
    ']0;titletwo\n\tlines'
  """
  return ''.join(c for c in text if c in '\n\t' or (
      unicodedata.category(c) not in ('Cc', 'Cs') and c not in _BIDI))
