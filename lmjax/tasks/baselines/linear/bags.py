"""Bags of n-grams: texts as sparse vectors of their words and characters."""
from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import re
from typing import Any

import numpy as np

from lmjax.data import scripts

_WORDS = re.compile(r'\w+|[^\w\s]')
_MIX = np.uint64(0x9E3779B97F4A7C15)  # Odd, so that multiplying loses no bit.
_BLOCKS = 'words', 'characters'
_BREAK = 0  # The symbol after each text.
_END = chr(_BREAK)


def words(text: str) -> list[str]:
  """Returns the lower-case words and punctuation marks of a text.

  In scripts that do not separate words, each letter is one.
  """
  return _WORDS.findall(scripts.spaced(text.lower()))


@dataclasses.dataclass(frozen=True)
class Bags:
  """Vectors of texts: weights of n-grams of words, then of characters.

  An n-gram that occurs t times in a text, and in d of the N texts that were
  counted, has the weight

    (1 + log t) (1 + log((1 + N) / (1 + d))).

  The weights of words are scaled to length 1, and so are those of characters.

  Attributes:
    blocks: What is counted: of words first, then of characters.
    vocabulary: The id of each word, from 1.
  """
  blocks: tuple['_Block', '_Block']
  vocabulary: dict[str, int]

  @classmethod
  def fit(cls, texts: Sequence[str], *, words_to: int = 2,
          characters_to: int = 4, most: int = 2**16) -> 'Bags':
    """Counts texts.

    Args:
      texts: The texts.
      words_to: The longest n-gram of words.
      characters_to: The longest n-gram of characters; the shortest is 2.
      most: The largest number of n-grams of each kind; those that are in the
        most texts are kept.
    """
    found = {word for text in texts for word in words(text)}
    vocabulary = {word: i for i, word in enumerate(sorted(found), 1)}
    return cls((
        _Block.fit(_spelled(texts, vocabulary), len(texts), (1, words_to),
                   most),
        _Block.fit(_characters(texts), len(texts), (2, characters_to), most),
    ), vocabulary)

  def arrays(self) -> dict[str, np.ndarray]:
    """Returns all that defines the vectors, by name; `of` reads it back."""
    found = {'vocabulary': packed(self.vocabulary)}
    for name, block in zip(_BLOCKS, self.blocks):
      found |= {f'{name}_orders': np.array(block.orders),
                f'{name}_keys': block.keys, f'{name}_rarity': block.rarity}
    return found

  @classmethod
  def of(cls, arrays: Mapping[str, np.ndarray]) -> 'Bags':
    """Returns the vectors that `arrays` described.

    Raises:
      ValueError: If an array is missing, or shapes do not fit.
    """
    names = {f'{name}_{part}' for name in _BLOCKS
             for part in ('orders', 'keys', 'rarity')} | {'vocabulary'}
    if missing := sorted(names - set(arrays)):
      raise ValueError(f'{missing} are missing')
    blocks = tuple(_Block(
        tuple(arrays[f'{name}_orders'].tolist()), arrays[f'{name}_keys'],
        arrays[f'{name}_rarity']) for name in _BLOCKS)
    if any(block.keys.shape != block.rarity.shape for block in blocks):
      raise ValueError('an n-gram has no weight')
    return cls(blocks, {word: i for i, word in enumerate(
        unpacked(arrays['vocabulary']), 1)})

  @property
  def size(self) -> int:
    """The number of features, F."""
    return sum(len(block.keys) for block in self.blocks)

  def __call__(self, texts: Sequence[str]) -> Any:
    """Returns the vectors, a sparse matrix [texts, F] of float32."""
    from scipy import sparse  # Slow to import, and only needed here.
    symbols = _spelled(texts, self.vocabulary), _characters(texts)
    return sparse.hstack([
        block.vectors(each, len(texts))
        for block, each in zip(self.blocks, symbols)], format='csr')


@dataclasses.dataclass(frozen=True)
class _Block:
  """The n-grams of one kind of symbol.

  Attributes:
    orders: The shortest and the longest n-gram.
    keys: The hash of each n-gram, sorted.
    rarity: The second factor of the weight of each; see `Bags`.
  """
  orders: tuple[int, int]
  keys: np.ndarray
  rarity: np.ndarray

  @classmethod
  def fit(cls, symbols, number, orders, most) -> '_Block':
    found, text = _grams(symbols, orders)
    keys, place = np.unique(found, return_inverse=True)
    pairs = np.unique(place * number + text)  # Each n-gram once a text.
    counts = np.bincount(pairs // number, minlength=len(keys))
    kept = np.sort(np.argsort(-counts, kind='stable')[:most])
    return cls(orders, keys[kept],
               1 + np.log((1 + number) / (1 + counts[kept])))

  def vectors(self, symbols, number):
    from scipy import sparse  # pylint: disable=g-import-not-at-top
    found, text = _grams(symbols, self.orders)
    known = np.flatnonzero(np.isin(found, self.keys))
    place = np.searchsorted(self.keys, found[known])
    matrix = sparse.coo_matrix(
        (np.ones(len(known)), (text[known], place)),
        (number, len(self.keys))).tocsr()  # Adds up what comes twice.
    matrix.data = (1 + np.log(matrix.data)) * self.rarity[matrix.indices]
    rows = np.repeat(np.arange(number), np.diff(matrix.indptr))
    lengths = np.sqrt(np.bincount(
        rows, matrix.data**2, minlength=number))
    matrix.data /= lengths[rows]
    return matrix.astype(np.float32)


def packed(vocabulary: Iterable[str]) -> np.ndarray:
  """Returns words, which have no line breaks, as one array of bytes."""
  return np.frombuffer(
      '\n'.join(vocabulary).encode('utf-8', 'surrogatepass'), np.uint8)


def unpacked(array: np.ndarray) -> list[str]:
  """Returns the words of `packed`."""
  found = array.tobytes().decode('utf-8', 'surrogatepass')
  return found.split('\n') if found else []


def _grams(symbols: np.ndarray, orders: tuple[int, int]
           ) -> tuple[np.ndarray, np.ndarray]:
  """Returns the hash of each n-gram within a text, and the text's number.

  Args:
    symbols: The symbols of all texts, uint64, with a break after each text.
    orders: The shortest and the longest n-gram.
  """
  texts = np.cumsum(symbols == _BREAK)
  first, last = orders
  symbols = np.pad(symbols, (0, last))  # Breaks.
  keys, found, of = np.zeros(len(texts), np.uint64), [], []
  inside = np.ones(len(texts), bool)
  for n in range(1, last + 1):
    added = symbols[n - 1:][:len(texts)]
    keys = (keys ^ added) * _MIX
    keys ^= keys >> np.uint64(29)
    inside &= added != _BREAK
    if n >= first:
      found.append(keys[inside])
      of.append(texts[inside])
  return np.concatenate(found), np.concatenate(of)


def _spelled(texts: Sequence[str], vocabulary: dict[str, int]) -> np.ndarray:
  """Returns words as symbols; unknown words share one that is in no n-gram."""
  out = []
  for text in texts:
    out += [vocabulary.get(word, len(vocabulary) + 1) for word in words(text)]
    out.append(_BREAK)
  return np.array(out, np.uint64)


def _characters(texts: Sequence[str]) -> np.ndarray:
  """Returns lower-case characters as symbols, with a space at both ends."""
  joined = ''.join(
      f' {" ".join(text.lower().replace(_END, " ").split())} {_END}'
      for text in texts)
  return np.frombuffer(
      joined.encode('utf-32-le', 'surrogatepass'), '<u4').astype(np.uint64)
