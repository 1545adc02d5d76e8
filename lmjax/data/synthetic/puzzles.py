"""Texts with an answer: copying, recall, parity, modular addition.

Every document consists of uniform random choices, which cannot be predicted,
and of symbols that follow from them, which cost the optimum 0 nats. A model has
an excess over the optimum if it has not learned the rule.
"""
import dataclasses
import math
from typing import Annotated

import numpy as np

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.data.synthetic import language


class _Puzzle(language.Language):
  """A language defined by `_next`, the possible characters after a prefix."""

  def predictions(self, symbols, begins):
    language.whole(begins, type(self).__name__)
    alphabet = self.alphabet
    out = np.zeros((len(symbols) + 1, len(alphabet) + 1))
    text = ''.join(alphabet[s] for s in symbols if s < len(alphabet))
    for i in range(len(symbols) + 1):
      choices = self._next(text[:i])
      for letter, p in choices.items():
        out[i, alphabet.index(letter) if letter else -1] = p
      if i < len(symbols) and text[i:i + 1] not in choices:
        break  # Not a text of this language: later rows stay 0.
    return out

  def _next(self, prefix: str) -> dict[str, float]:
    """Returns the probability of each next character; '' is the end."""
    raise TypeError(f'{type(self).__name__} should define _next.')

  def _draw(self, random, count):
    number = {c: i for i, c in enumerate(self.alphabet)}
    return [np.array([number[c] for c in self._text(random)])
            for _ in range(count)]


def _even(letters: str) -> dict[str, float]:
  return {letter: 1 / len(letters) for letter in letters}


def _word(prefix: str, letters: str, least: int, most: int,
          stop: str) -> dict[str, float]:
  """Returns the probability of each next character of a word and its end.

  Args:
    prefix: The letters before it.
    letters: The letters of words.
    least: Fewest letters of a word; all lengths are equally probable.
    most: Most letters of a word.
    stop: The character after the word.
  """
  n = len(prefix)
  stops = 1 / (most - n + 1) if n >= least else 0.0
  out = {letter: (1 - stops) / len(letters) for letter in letters
         if stops < 1}
  return out | ({stop: stops} if stops else {})


def _check_lengths(source) -> None:
  if source.min_length > source.max_length:
    raise errors.InputError(
        f'{type(source).__name__} needs min_length <= max_length; got '
        f'{source.min_length} and {source.max_length}.')


def _words_entropy(source, letters: int, tokens: float) -> language.Entropy:
  """Returns the entropy of a random word whose length is random too.

  Args:
    source: Config with `min_length` and `max_length`.
    letters: Number of different letters.
    tokens: Average number of tokens in a document.
  """
  mean = (source.min_length + source.max_length) / 2
  lengths = source.max_length - source.min_length + 1
  return language.Entropy(mean * math.log(letters) + math.log(lengths), tokens)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Copy(_Puzzle):
  """A random word, a bar, and the word again: 'dgab|dgab'.

  Attributes:
    symbols: Number of different letters.
    min_length: Fewest letters of a word; all lengths are equally probable.
    max_length: Most letters of a word.
    num_documents: Number of documents.
    seed: Seed of the documents.

  References:
    Graves et al., Neural Turing Machines, arXiv:1410.5401, section 4.1.
  """
  symbols: Annotated[int, ranges.Range(2)] = 8
  min_length: ranges.Count = 4
  max_length: ranges.Count = 16
  num_documents: ranges.Count = 10_000
  seed: ranges.Seed = 0

  def __post_init__(self):
    _check_lengths(self)

  @property
  def alphabet(self) -> str:
    return language.letters(self.symbols, 'Copy.symbols') + '|'

  def entropy(self) -> language.Entropy:
    mean = (self.min_length + self.max_length) / 2
    return _words_entropy(self, self.symbols, 2 * mean + 2)

  def _next(self, prefix):
    word, bar, copy = prefix.partition('|')
    if not bar:
      return _word(word, self.alphabet[:-1], self.min_length, self.max_length,
                   '|')
    return {word[len(copy):len(copy) + 1]: 1.0}

  def _text(self, random):
    length = random.integers(self.min_length, self.max_length + 1)
    word = ''.join(self.alphabet[i]
                   for i in random.integers(self.symbols, size=length))
    return f'{word}|{word}'


@dataclasses.dataclass(frozen=True)
@ranges.checked
class AssociativeRecall(_Puzzle):
  """Pairs of key and value, a bar, and queries with answers: 'a3c1|c1a3'.

  Multi-query associative recall: keys are different letters in random order,
  values are digits, and each query is one of the given keys, drawn uniformly.

  Attributes:
    keys: Number of letters that keys are drawn from.
    values: Number of digits that values are drawn from.
    pairs: Number of pairs in a document.
    queries: Number of queries in a document.
    num_documents: Number of documents.
    seed: Seed of the documents.

  References:
    Arora et al., Zoology, arXiv:2312.04927, section 3.1 (MQAR).
  """
  keys: Annotated[int, ranges.Range(1, 26)] = 16
  values: Annotated[int, ranges.Range(2, 10)] = 8
  pairs: ranges.Count = 6
  queries: ranges.Count = 6
  num_documents: ranges.Count = 10_000
  seed: ranges.Seed = 0

  def __post_init__(self):
    if self.pairs > self.keys:
      raise errors.InputError(
          'AssociativeRecall.pairs should be at most keys; got '
          f'{self.pairs} and {self.keys}.')

  @property
  def alphabet(self) -> str:
    return self._keys + self._values + '|'

  @property
  def _keys(self) -> str:
    return language.LETTERS[:self.keys]

  @property
  def _values(self) -> str:
    return '0123456789'[:self.values]

  def entropy(self) -> language.Entropy:
    shown = sum(math.log(self.keys - i) for i in range(self.pairs))
    shown += self.pairs * math.log(self.values)
    return language.Entropy(shown + self.queries * math.log(self.pairs),
                            2.0 * (self.pairs + self.queries) + 2)

  def _next(self, prefix):
    shown, bar, asked = prefix.partition('|')
    if not bar:
      if len(shown) == 2 * self.pairs:
        return {'|': 1.0}
      if len(shown) % 2:
        return _even(self._values)
      return _even(''.join(k for k in self._keys if k not in shown))
    if len(asked) % 2:
      return {shown[shown.index(asked[-1]) + 1]: 1.0}
    return {'': 1.0} if len(asked) == 2 * self.queries else _even(shown[::2])

  def _text(self, random):
    keys = random.permutation(self.keys)[:self.pairs]
    pairs = [self._keys[k] + self._values[random.integers(self.values)]
             for k in keys]
    asked = random.integers(self.pairs, size=self.queries)
    return ''.join(pairs) + '|' + ''.join(pairs[i] for i in asked)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Parity(_Puzzle):
  """Random bits and whether the number of ones is odd: '10110=1'.

  Attributes:
    min_length: Fewest bits of a document; all lengths are equally probable.
    max_length: Most bits of a document.
    num_documents: Number of documents.
    seed: Seed of the documents.

  References:
    Hahn, Theoretical Limitations of Self-Attention, arXiv:1906.06755, sec. 3.
  """
  min_length: ranges.Count = 1
  max_length: ranges.Count = 32
  num_documents: ranges.Count = 10_000
  seed: ranges.Seed = 0
  alphabet = '01='

  def __post_init__(self):
    _check_lengths(self)

  def entropy(self) -> language.Entropy:
    mean = (self.min_length + self.max_length) / 2
    return _words_entropy(self, 2, mean + 3)

  def _next(self, prefix):
    bits, equals, answer = prefix.partition('=')
    if not equals:
      return _word(bits, '01', self.min_length, self.max_length, '=')
    return {'': 1.0} if answer else {str(bits.count('1') % 2): 1.0}

  def _text(self, random):
    length = random.integers(self.min_length, self.max_length + 1)
    bits = random.integers(2, size=length)
    return ''.join(map(str, bits)) + f'={bits.sum() % 2}'


@dataclasses.dataclass(frozen=True)
@ranges.checked
class ModularAddition(_Puzzle):
  """Sums modulo p in decimal digits, with leading zeros: '07+95=05'.

  Attributes:
    modulus: p; both operands are drawn uniformly from 0 to p - 1.
    num_documents: Number of documents, which may repeat.
    seed: Seed of the documents.

  References:
    Power et al., Grokking, arXiv:2201.02177, section 2.
  """
  modulus: Annotated[int, ranges.Range(2)] = 97
  num_documents: ranges.Count = 10_000
  seed: ranges.Seed = 0
  alphabet = '0123456789+='

  @property
  def digits(self) -> int:
    """Number of digits of each number."""
    return len(str(self.modulus - 1))

  def entropy(self) -> language.Entropy:
    return language.Entropy(2 * math.log(self.modulus), 3.0 * self.digits + 3)

  def _next(self, prefix):
    digits = self.digits
    number, place = divmod(len(prefix), digits + 1)
    if place == digits:
      return {('+', '=', '')[number]: 1.0}
    written = prefix[number * (digits + 1):]
    if number == 2:
      total = (int(prefix[:digits]) + int(prefix[digits + 1:2 * digits + 1]))
      return {f'{total % self.modulus:0{digits}d}'[place]: 1.0}
    size = 10 ** (digits - place - 1)  # Numbers for each next digit.
    low = int(written or '0') * 10 * size
    counts = {str(d): min(max(self.modulus - low - d * size, 0), size)
              for d in range(10)}
    total = sum(counts.values())
    return {d: n / total for d, n in counts.items() if n}

  def _text(self, random):
    a, b = random.integers(self.modulus, size=2)
    return '{:0{n}d}+{:0{n}d}={:0{n}d}'.format(
        a, b, (a + b) % self.modulus, n=self.digits)
