"""Scripts that do not separate words, such as Chinese, Japanese and Thai.

The words of such a script are known to its readers only. Here each letter is a
unit of its own, as in the Unicode rules for text without a dictionary.

References:
  Unicode Standard Annex #29, Unicode Text Segmentation, section 4.1.
"""
import functools
import unicodedata

import numpy as np

_NAMES = (  # Of characters, as Unicode names them.
    'BALINESE', 'BOPOMOFO', 'CJK', 'HALFWIDTH KATAKANA', 'HIRAGANA',
    'IDEOGRAPHIC', 'JAVANESE', 'KATAKANA', 'KHMER', 'LAO', 'MYANMAR',
    'NEW TAI LUE', 'TAI ', 'THAI', 'TIBETAN', 'YI ')
_MOST = 0.05  # Share of such letters above which counts of words mean little.


@functools.cache
def is_unspaced(character: str) -> bool:
  """Returns whether a character is a letter or mark of such a script.

  Example:
    >>> [c for c in 'The 漢字, かな、ไทย한국' if is_unspaced(c)]
    ['漢', '字', 'か', 'な', 'ไ', 'ท', 'ย']
  """
  return (unicodedata.category(character)[0] in 'LM'
          and unicodedata.name(character, '').startswith(_NAMES))


def count(text: str) -> int:
  """Returns the number of letters and marks of such scripts in a text."""
  if text.isascii():
    return 0
  found = [ord(character) for character in set(text) if is_unspaced(character)]
  if not found:
    return 0
  codes = np.frombuffer(text.encode('utf-32-le', 'surrogatepass'), '<u4')
  return int(np.count_nonzero(np.isin(codes, found)))


def spaced(text: str) -> str:
  """Returns a text with spaces around the letters of such scripts.

  Example:
    >>> spaced('我愛Python').split()
    ['我', '愛', 'Python']
  """
  if text.isascii():
    return text
  return ''.join(f' {c} ' if is_unspaced(c) else c for c in text)


def separates_words(letters: int, characters: int) -> bool:
  """Returns whether a text can be counted in words.

  Args:
    letters: Number of its letters of such scripts; see `count`.
    characters: Number of its characters.
  """
  return letters <= _MOST * characters
