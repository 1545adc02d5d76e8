"""Facts about texts before tokenization: their sizes, and a hash of each."""
from collections.abc import Callable, Iterable, Iterator
import dataclasses
import hashlib
import re
from typing import NamedTuple

import numpy as np

from lmjax.data import scripts

_PART = 1 << 20  # Characters that are looked at together.


class Facts(NamedTuple):
  """Facts about a text.

  Attributes:
    bytes: Number of UTF-8 bytes.
    characters: Number of characters, which are Unicode code points.
    words: Number of words, which whitespace separates.
    unspaced: Number of letters of scripts that do not separate words.
    hash: The first 8 bytes of the SHA-256 of the UTF-8 bytes, signed; it is the
      same under every tokenizer.
  """
  bytes: int
  characters: int
  words: int
  unspaced: int
  hash: int


def of(text: str) -> Facts:
  """Returns the facts about a text.

  Example:
    >>> of('two w\u00f6rds')[:4]
    (10, 9, 2, 0)
  """
  sha, sizes, in_word = hashlib.sha256(), [0, 0, 0, 0], False
  for piece in pieces(text):
    raw = piece.encode()
    sha.update(raw)
    continued = in_word and not piece[0].isspace()
    in_word = not piece[-1].isspace()
    each = (len(raw), len(piece), len(piece.split()) - continued,
            scripts.count(piece))
    sizes = [total + size for total, size in zip(sizes, each)]
  return Facts(*sizes, int.from_bytes(sha.digest()[:8], signed=True))


def pieces(text: str, size: int | None = None) -> Iterator[str]:
  """Yields a text in pieces, so that work on each takes little memory.

  Args:
    text: The text.
    size: Characters of a piece; None takes about a million.
  """
  size = size or _PART
  return (text[i:i + size] for i in range(0, len(text), size))


def cut(text: str, after: Callable[[str], bool], size: int | None = None
        ) -> Iterator[str]:
  """Yields a text in pieces that each end where a cut is allowed.

  Args:
    text: The text.
    after: Whether the text may be cut after a character.
    size: Most characters of a piece, unless there is no place to cut it; None
      takes about a million.

  Example:
    >>> list(cut('one two three.', str.isspace, 6))
    ['one ', 'two ', 'three.']
  """
  size, start = size or _PART, 0
  while len(text) - start > size:
    end = start + size
    while end > start and not after(text[end - 1]):
      end -= 1
    if end == start:
      end = start + size + 1
      while end < len(text) and not after(text[end - 1]):
        end += 1
    yield text[start:end]
    start = end
  yield text[start:]


def cut_before(text: str, pattern: re.Pattern[str], size: int | None = None
               ) -> Iterator[str]:
  """Yields a text in pieces that each begin where a pattern matches.

  Args:
    text: The text.
    pattern: What the text may be cut before.
    size: Fewest characters of a piece; None takes about a million.

  Example:
    >>> list(cut_before('one two three.', re.compile(' '), 5))
    ['one two', ' three.']
  """
  size, start = size or _PART, 0
  while match := pattern.search(text, start + size):
    yield text[start:match.start()]
    start = match.start()
  yield text[start:]


@dataclasses.dataclass(frozen=True)
class Texts:
  """Facts about several texts: an int64 array for each field of `Facts`."""
  bytes: np.ndarray
  characters: np.ndarray
  words: np.ndarray
  unspaced: np.ndarray
  hashes: np.ndarray

  @classmethod
  def of(cls, texts: Iterable[str]) -> 'Texts':
    """Returns the facts about some texts.

    Example:
      >>> Texts.of(['two words', '\u00fc']).bytes.tolist()
      [9, 2]
    """
    return cls(*np.array(list(map(of, texts)), np.int64).reshape(-1, 5).T)

  def first(self, count: int) -> 'Texts':
    """Returns the facts about the first `count` texts."""
    return Texts(*(column[:count] for column in vars(self).values()))

  @property
  def separate_words(self) -> bool:
    """Whether the texts, taken together, can be counted in words."""
    return scripts.separates_words(
        int(self.unspaced.sum()), int(self.characters.sum()))
