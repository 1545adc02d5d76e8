"""Markov chains and hidden Markov models: languages of known entropy rate.

Documents of both have N >= 1 symbols with P(N = n) = (1 - e)^(n-1) e, where
e = 1 / mean_length: after every symbol the document ends with probability e,
independently of the symbols. Chains start in their stationary distribution. So
all parts of a document have the same distribution, and the optimum is also
defined for windows that begin inside a document.
"""
import dataclasses
import functools
import math
from typing import Annotated

import numpy as np

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.data.synthetic import language

_MOST_PROBABILITIES = 1 << 22
_MOST_PATHS = 1 << 21
_UNIFORM = 0.01  # Share of the uniform distribution: no probability is 0.


@dataclasses.dataclass(frozen=True)
@ranges.checked
class MarkovChain(language.Language):
  """Each symbol depends on the `order` symbols before it, by a random table.

  Attributes:
    order: Number of symbols that the next one depends on; 0 draws symbols
      independently.
    symbols: Number of symbols, A; the first of 'a'..'z', 'A'..'Z', '0'..'9'.
    concentration: Parameter of the Dirichlet distribution of the table's rows;
      a smaller one makes the next symbol more certain, and the entropy lower.
    mean_length: Average number of symbols in a document.
    num_documents: Number of documents.
    law: Seed of the table, which determines the chain.
    seed: Seed of the documents.

  References:
    Shannon, A Mathematical Theory of Communication, 1948, section 7; Cover and
    Thomas, Elements of Information Theory, 2nd ed., theorem 4.2.4.
  """
  order: ranges.Natural = 2
  symbols: Annotated[int, ranges.Range(2)] = 8
  concentration: ranges.Positive = 0.3
  mean_length: Annotated[float, ranges.Range(1)] = 64.0
  num_documents: ranges.Count = 10_000
  law: ranges.Seed = 0
  seed: ranges.Seed = 0

  def __post_init__(self):
    if self.symbols ** (self.order + 1) > _MOST_PROBABILITIES:
      raise errors.InputError(
          f'MarkovChain has symbols ** (order + 1) probabilities, here '
          f'{self.symbols} ** {self.order + 1}; keep them below '
          f'{_MOST_PROBABILITIES:,}.')

  @property
  def alphabet(self) -> str:
    return language.letters(self.symbols, 'MarkovChain.symbols')

  @functools.cached_property
  def transitions(self) -> np.ndarray:
    """P(next | context), [A ** order, A].

    A context is a number in base A, with the latest symbol as its last digit.
    """
    return _table(self, self.symbols**self.order, self.symbols)

  @functools.cached_property
  def contexts(self) -> np.ndarray:
    """The stationary probability of each context, [A ** order]."""
    if not self.order:
      return np.ones(1)
    def step(p):
      joint = (p[:, None] * self.transitions).reshape(self.symbols, -1)
      return joint.sum(axis=0)  # Forgets the oldest symbol.
    return _fixed_point(step, self.symbols**self.order)

  @functools.cached_property
  def tables(self) -> list[np.ndarray]:
    """P(next | the j latest symbols) for j = 0..order."""
    known = [self.contexts.reshape(self.symbols**j, -1).sum(axis=1)
             for j in range(self.order + 1)]
    return [joint.reshape(-1, self.symbols) / before[:, None]
            for before, joint in zip(known, known[1:])] + [self.transitions]

  def entropy(self) -> language.Entropy:
    nats = []
    for j, table in enumerate(self.tables):
      before = self.contexts.reshape(self.symbols**j, -1).sum(axis=1)
      nats.append(float(before @ language.entropy_of(table)))
    return _of_document(nats[:-1], nats[-1], self.mean_length)

  def predictions(self, symbols, begins):
    n = len(symbols)
    context = np.zeros(n + 1, np.int64)
    p = np.repeat(self.tables[0], n + 1, axis=0)
    for j in range(1, self.order + 1):  # The j latest symbols are known.
      if j > n:
        break
      context[j:] += symbols[:n - j + 1] * self.symbols**(j - 1)
      p[j:] = self.tables[j][context[j:]]
    return _with_end(p, begins, self.mean_length)

  def _draw(self, random, count):
    def step(context, random):
      symbol = _choose(self.transitions[context], random)
      return symbol, (context * self.symbols + symbol) % len(self.contexts)
    lengths = random.geometric(1 / self.mean_length, count)
    first = _choose(np.repeat(self.contexts[None], count, 0), random)
    # The digits of the first context are the first symbols, oldest first.
    start = [first // self.symbols**j % self.symbols
             for j in reversed(range(self.order))]
    rest = _run(step, first, np.maximum(lengths - self.order, 0), random)
    begun = np.stack(start, axis=1) if start else np.zeros((count, 0), int)
    return [np.concatenate([a, b])[:n]
            for a, b, n in zip(begun, rest, lengths)]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class HiddenMarkov(language.Language):
  """A chain of hidden states, each of which emits a symbol.

  The optimum depends on the whole past, through the probability of each state
  (the forward algorithm). The entropy rate has no closed form; it lies between
  H(Y_n | Y_1..Y_{n-1}, X_1) and H(Y_n | Y_1..Y_{n-1}), which converge quickly.

  Attributes:
    states: Number of hidden states, K.
    symbols: Number of symbols, A.
    concentration: Parameter of the Dirichlet distribution of both tables' rows.
    mean_length: Average number of symbols in a document.
    num_documents: Number of documents.
    law: Seed of the tables, which determines the model.
    seed: Seed of the documents.

  References:
    Rabiner, A Tutorial on Hidden Markov Models, 1989, eq. 19-21; Cover and
    Thomas, Elements of Information Theory, 2nd ed., theorem 4.5.1.
  """
  states: ranges.Count = 4
  symbols: Annotated[int, ranges.Range(2)] = 4
  concentration: ranges.Positive = 0.3
  mean_length: Annotated[float, ranges.Range(1)] = 64.0
  num_documents: ranges.Count = 10_000
  law: ranges.Seed = 0
  seed: ranges.Seed = 0

  def __post_init__(self):
    if self.states**2 * self.symbols > _MOST_PATHS:
      raise errors.InputError(
          'HiddenMarkov needs states ** 2 * symbols of at most '
          f'{_MOST_PATHS:,}; got {self.states} states.')

  @property
  def alphabet(self) -> str:
    return language.letters(self.symbols, 'HiddenMarkov.symbols')

  @functools.cached_property
  def transitions(self) -> np.ndarray:
    """P(next state | state), [K, K]."""
    return _table(self, self.states, self.states)

  @functools.cached_property
  def emissions(self) -> np.ndarray:
    """P(symbol | state), [K, A]."""
    return _table(self, self.states, self.symbols, 1)

  @functools.cached_property
  def stationary(self) -> np.ndarray:
    """The stationary probability of each state, [K]."""
    return _fixed_point(lambda p: p @ self.transitions, self.states)

  def entropy(self) -> language.Entropy:
    # P(x_1, y_1..y_n, x_{n+1}) for every path of n symbols, [K, A ** n, K].
    paths = np.diag(self.stationary)[:, None]
    nats, gap = [], math.inf
    while gap > 1e-9 and paths.size * self.symbols <= _MOST_PATHS:
      joint = paths @ self.emissions  # P(x_1, path, next symbol).
      upper, lower = (float(
          language.entropy_of(p.reshape(-1)) - language.entropy_of(
              p.sum(axis=-1).reshape(-1)))
          for p in (joint.sum(axis=0), joint))
      nats.append(upper)
      gap = max(upper - lower, 0.0)
      paths = np.einsum('xpk,ka,kj->xpaj', paths, self.emissions,
                        self.transitions).reshape(self.states, -1, self.states)
    return _of_document(nats, upper - gap / 2, self.mean_length, gap / 2)

  def predictions(self, symbols, begins):
    p = np.empty((len(symbols) + 1, self.symbols))
    belief = self.stationary
    for i, symbol in enumerate(symbols):
      p[i] = belief @ self.emissions
      belief = (belief * self.emissions[:, symbol]) @ self.transitions
      belief = belief / belief.sum()
    p[-1] = belief @ self.emissions
    return _with_end(p, begins, self.mean_length)

  def _draw(self, random, count):
    def step(state, random):
      symbol = _choose(self.emissions[state], random)
      return symbol, _choose(self.transitions[state], random)
    lengths = random.geometric(1 / self.mean_length, count)
    first = _choose(np.repeat(self.stationary[None], count, 0), random)
    return _run(step, first, lengths, random)


def _table(source, rows: int, columns: int, number: int = 0) -> np.ndarray:
  """Returns random distributions, [rows, columns], with no probability 0."""
  random = np.random.default_rng([source.law, rows, columns, number])
  p = random.dirichlet(np.full(columns, source.concentration), rows)
  return (1 - _UNIFORM) * p + _UNIFORM / columns


def _fixed_point(step, size: int) -> np.ndarray:
  """Returns the distribution that `step` maps to itself."""
  p, change = np.full(size, 1 / size), math.inf
  for _ in range(100_000):
    p, old = step(p), p
    last, change = change, np.abs(p - old).sum()
    if change < 1e-12 and change >= last:  # Only rounding errors remain.
      break
  return p / p.sum()


def _with_end(p, begins: bool, mean_length: float) -> np.ndarray:
  """Returns the probabilities with the end's, which is 0 at the very start."""
  end = np.full((len(p), 1), 1 / mean_length)
  if begins:
    end[0] = 0.0
  return np.concatenate([p * (1 - end), end], axis=1)


def _of_document(first: list[float], rate: float, mean_length: float,
                 error: float = 0.0) -> language.Entropy:
  """Returns the entropy of documents.

  Args:
    first: Nats of each of the first symbols.
    rate: Nats of each later symbol.
    mean_length: Average number of symbols in a document.
    error: Largest error of `rate`.
  """
  end = 1 / mean_length
  reached = (1 - end) ** np.arange(len(first) + 1)  # P(N > i).
  symbols = float(reached[:-1] @ np.array(first)) + rate * reached[-1] / end
  length = float(language.entropy_of(np.array([end, 1 - end]))) / end
  return language.Entropy(symbols + length, mean_length + 1, rate,
                          error * float(reached[-1]) / end)


def _choose(p: np.ndarray, random: np.random.Generator) -> np.ndarray:
  """Returns a draw from each row of `p`."""
  u = random.random((len(p), 1))
  return (np.cumsum(p, axis=1)[:, :-1] < u).sum(axis=1)


def _run(step, state: np.ndarray, lengths: np.ndarray,
         random: np.random.Generator) -> list[np.ndarray]:
  """Returns the symbols of documents of the given lengths, run in parallel."""
  order = np.argsort(-lengths, kind='stable')
  state, left = state[order], lengths[order]
  out = np.zeros((len(lengths), left.max(initial=0)), np.int64)
  for t in range(out.shape[1]):
    going = int((left > t).sum())
    symbol, state = step(state[:going], random)
    out[order[:going], t] = symbol
  return [row[:n] for row, n in zip(out, lengths)]
