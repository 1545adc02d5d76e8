"""The base of synthetic languages, whose best possible score is known.

A document is a sequence of symbols, one character each, and an end. For every
prefix, the law of a language gives the probability of each next symbol and of
the end. No predictor has a lower expected loss than the law; the difference of
a model's loss to it is the model's excess.
"""
import collections
from collections.abc import Callable, Iterator, Mapping
import dataclasses
import string
from typing import Any

import numpy as np

from lmjax.core import config
from lmjax.core import errors
from lmjax.data import documents
from lmjax.data.tokenizers import vocabulary

LETTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits
_BLOCK = 1024  # Documents drawn from one generator.

Score = Callable[[Mapping[str, np.ndarray]], tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Entropy:
  """The expected loss of the best predictor.

  Attributes:
    document: Nats per document.
    tokens: Average number of scored tokens per document: symbols and the end.
    rate: Nats per symbol far from the document's start, without the end; None
      if it is not defined.
    error: Largest error of `document`; 0 if it is exact.
  """
  document: float
  tokens: float
  rate: float | None = None
  error: float = 0.0

  @property
  def per_token(self) -> float:
    """Nats per scored token, the unit of `evaluation.likelihood`."""
    return self.document / self.tokens


class Language(documents.Source):
  """A source of random documents with a known law.

  A subclass is a frozen dataclass with `num_documents` and `seed`; it defines
  `alphabet`, `entropy`, `_draw` and `predictions`. Document i is a function of
  the config, so reading twice gives the same texts.
  """
  num_documents: int
  seed: int

  @property
  def alphabet(self) -> str:
    """The symbols, in the order of their numbers."""
    raise TypeError(f'{type(self).__name__} should define alphabet.')

  def entropy(self) -> Entropy:
    """Returns the loss of the best predictor, computed from the law."""
    raise TypeError(f'{type(self).__name__} should define entropy.')

  def predictions(self, symbols: np.ndarray, begins: bool) -> np.ndarray:
    """Returns the law's probabilities after every prefix, [n + 1, A + 1].

    Args:
      symbols: Numbers of n successive symbols of a document.
      begins: Whether the first symbol begins the document. If not, the symbols
        before it are unknown, and row 0 has no meaning.

    Returns:
      Row i has the probabilities of the A symbols, and then of the end, after i
      symbols. They are all 0 after a prefix that is not in the language.

    Raises:
      InputError: If `begins` is False and the law needs the whole document.
    """
    raise TypeError(f'{type(self).__name__} should define predictions.')

  def optimal_score(self, tokenizer: vocabulary.Tokenizer) -> Score:
    """Returns the Bayes-optimal predictor, a score like a model's.

    `evaluation.likelihood.evaluate(language.optimal_score(tokenizer), ...)`
    reports the lowest loss that a predictor of these documents can expect; the
    difference of a model's loss to it is the model's excess.

    Args:
      tokenizer: A tokenizer with one id per character, BOS and EOS:
        `Characters` or `Bytes`.

    Returns:
      `score(batch) -> (nll_BT, correct_BT)`: the loss of each target in nats
      (infinite for a text outside the language) and the probability that the
      most probable token, with ties broken at random, is the target.

    Raises:
      InputError: If the tokenizer has no BOS or no EOS. The score raises it for
        an id that is not a symbol, and for a row that begins inside a document
        if the law needs the document's start.
    """
    if tokenizer.bos_id is None or tokenizer.eos_id is None:
      raise errors.InputError(
          'The optimal score counts from BOS to EOS; use a tokenizer with '
          '--config.data.tokenizer.bos=True and eos=True.')
    return _Optimum(self, tokenizer)

  def fingerprint(self) -> dict[str, Any]:
    return config.to_dict(self)

  def _read(self, counts: collections.Counter) -> Iterator[str]:
    del counts
    letters = np.array(list(self.alphabet))
    for block in range(-(-self.num_documents // _BLOCK)):
      count = min(_BLOCK, self.num_documents - block * _BLOCK)
      random = np.random.default_rng([self.seed, block])
      for symbols in self._draw(random, _BLOCK)[:count]:
        yield ''.join(letters[symbols])

  def _draw(self, random: np.random.Generator,
            count: int) -> list[np.ndarray]:
    """Returns the symbols of `count` documents."""
    raise TypeError(f'{type(self).__name__} should define _draw.')


class _Optimum:
  """The score of a language's predictor, for batches of a tokenizer's ids."""

  def __init__(self, language: Language, tokenizer: vocabulary.Tokenizer):
    self._language, self._tokenizer = language, tokenizer
    size = len(language.alphabet)
    self._symbols = np.full(tokenizer.vocab_size, -1)
    for symbol, letter in enumerate(language.alphabet):
      try:
        ids = tokenizer.encode(letter)
      except errors.InputError:  # No document contains the symbol.
        continue
      if len(ids) == 1:
        self._symbols[ids[0]] = symbol
    self._symbols[tokenizer.eos_id] = size

  def __call__(self, batch):
    inputs_BT, segments_BT = batch['inputs'], batch['segments']
    nll_BT = np.zeros(inputs_BT.shape, np.float32)
    correct_BT = np.zeros(inputs_BT.shape, np.float32)
    for row in range(len(inputs_BT)):
      for place in _runs(segments_BT[row], inputs_BT[row],
                         self._tokenizer.eos_id):
        nll_BT[row, place], correct_BT[row, place] = self._score(
            inputs_BT[row, place], batch['targets'][row, place])
    return nll_BT, correct_BT

  def _score(self, inputs_T, targets_T):
    begins = inputs_T[0] == self._tokenizer.bos_id
    p_TV = self._language.predictions(
        self._numbers(inputs_T[1:] if begins else inputs_T), begins)
    p_TV = p_TV[-len(targets_T):]
    targets_T = self._numbers(targets_T)
    p_T = p_TV[np.arange(len(targets_T)), targets_T]
    best_T1 = p_TV.max(axis=1, keepdims=True)
    ties_TV = np.isclose(p_TV, best_T1, rtol=1e-9, atol=0)
    correct_T = ties_TV[np.arange(len(targets_T)), targets_T] / np.maximum(
        ties_TV.sum(axis=1), 1)
    with np.errstate(divide='ignore'):
      return 0.0 - np.log(p_T), np.where(p_T > 0, correct_T, 0)

  def _numbers(self, ids):
    numbers = self._symbols[ids]
    if numbers.size and numbers.min() < 0:
      wrong = int(np.asarray(ids)[np.argmin(numbers)])
      raise errors.InputError(
          f'Token id {wrong} is not a symbol of {self._language.describe()}; '
          'give documents of this language, tokenized by Characters or Bytes.')
    return numbers


def _runs(segments_T: np.ndarray, inputs_T: np.ndarray,
          eos_id: int) -> Iterator[slice]:
  """Yields the slice of each document in a row, without EOS as an input."""
  edges = np.flatnonzero(np.diff(segments_T, prepend=0, append=0))
  for start, stop in zip(edges, edges[1:]):
    if inputs_T[stop - 1] == eos_id:  # In packed rows; it has no target.
      stop -= 1
    if segments_T[start] > 0 and stop > start:
      yield slice(start, stop)


def whole(begins: bool, name: str) -> None:
  """Raises InputError if a document's start is not seen."""
  if not begins:
    raise errors.InputError(
        f'The optimum of {name} needs whole documents in a row; set '
        '--config.scoring.context to at least the longest document plus BOS.')


def letters(count: int, field: str) -> str:
  """Returns `count` different characters; raises InputError above 62."""
  if not 1 <= count <= len(LETTERS):
    raise errors.InputError(
        f'{field} should be from 1 to {len(LETTERS)}, the letters and digits '
        f'of ASCII; got {count}.')
  return LETTERS[:count]


def entropy_of(p: np.ndarray) -> np.ndarray:
  """Returns the entropy in nats of distributions along the last axis."""
  p = np.asarray(p, np.float64)
  return -np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=-1)
