"""Static word vectors for every token id: skip-gram, CBOW and GloVe.

Each config's `fit(documents, vocab_size)` returns `vectors_VD`, float32. The
function `into` puts them into a model's parameters:

    vectors_VD = SkipGram(size=model.width).fit(documents, vocab_size)
    params = into(decoder.initial_params(model.build(), 0), vectors_VD)
"""
from collections.abc import Iterable, Sequence
import dataclasses
import functools
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.core import trees

Documents = Iterable[Sequence[int]]
_BLOCK = 32  # Batches per compiled call.


class Vocabulary(Protocol):
  """What gives the number of ids, such as a tokenizer."""
  vocab_size: int


@dataclasses.dataclass(frozen=True)
class Table:
  """Vectors for an embedding.

  Attributes:
    vectors_VD: The vectors.
    rows: The id of each vector; None if they are those of ids 0, 1, ...
    summary: A line that says where they come from, or ''.
  """
  vectors_VD: np.ndarray
  rows: np.ndarray | None = None
  summary: str = ''


class _Learned:
  """The base class of configs whose vectors are learned from documents."""

  def table(self, documents: Documents, vocabulary: Vocabulary) -> Table:
    """Returns the vectors of all ids of a vocabulary; see `fit`."""
    return Table(self.fit(documents, vocabulary.vocab_size))


@dataclasses.dataclass(frozen=True)
@ranges.checked
class SkipGram(_Learned):
  """Predicts the tokens around each token, against randomly drawn negatives.

  With input vectors v and output vectors u, the loss of a token c near a token
  o is

    loss = -log s(u_o . v_c) - sum over k negatives n of log s(-u_n . v_c),

  where s is the logistic function and negatives are drawn in proportion to
  frequency ** 0.75. At the optimum u_o . v_c is the pointwise mutual
  information minus log k. Adagrad minimises the loss over batches of pairs.

  Attributes:
    size: Dimensions D.
    window: Largest number of tokens on either side; the number for each token
      is drawn from 1 to `window`.
    negatives: Number of negatives k for each pair.
    subsample: Tokens with a relative frequency above this are dropped at
      random, with probability 1 - sqrt(subsample / frequency); None drops none.
    epochs: Passes over the documents.
    batch_size: Predictions per step.
    learning_rate: Learning rate of Adagrad.
    seed: Seed of initial vectors, windows and negatives.

  References:
    Mikolov et al., Distributed Representations of Words and Phrases,
    arXiv:1310.4546, eq. 4 and 5; Levy and Goldberg, Neural Word Embedding as
    Implicit Matrix Factorization, 2014, eq. 8.
  """
  size: ranges.Count = 100
  window: ranges.Count = 5
  negatives: ranges.Count = 5
  subsample: ranges.Positive | None = 1e-3
  epochs: ranges.Count = 5
  batch_size: ranges.Count = 4096
  learning_rate: ranges.Positive = 0.1
  seed: ranges.Seed = 0

  def fit(self, documents: Documents, vocab_size: int) -> np.ndarray:
    """Returns `vectors_VD` for the tokens of documents of ids.

    Raises:
      InputError: On an id outside the vocabulary, or no two tokens together.
    """
    return self.tables(documents, vocab_size)[0]

  def tables(self, documents: Documents, vocab_size: int
             ) -> tuple[np.ndarray, np.ndarray]:
    """Returns the input and the output vectors, both [V, D]."""
    tokens, document = _joined(documents, vocab_size)
    random = np.random.default_rng(self.seed)
    counts = np.bincount(tokens, minlength=vocab_size)
    noise = counts**0.75
    limits_V = jnp.asarray(np.cumsum(noise) / noise.sum(), jnp.float32)
    params = {
        'in': (random.random((vocab_size, self.size)) - 0.5) / self.size,
        'out': np.zeros((vocab_size, self.size))}
    state = _start(params)
    loss = functools.partial(
        _predict, limits_V=limits_V, negatives=self.negatives)
    run = _runner(loss, self.learning_rate)
    key = jax.random.key(self.seed)
    for epoch in range(self.epochs):
      kept = self._kept(counts, tokens, random)
      batches = self._predictions(tokens[kept], document[kept], random)
      state = _trained(run, state, batches, self.batch_size, random,
                       jax.random.fold_in(key, epoch))
    return np.asarray(state[0]['in']), np.asarray(state[0]['out'])

  def _kept(self, counts, tokens, random) -> np.ndarray:
    if self.subsample is None:
      return np.ones(len(tokens), bool)
    frequency = np.maximum(counts, 1) / counts.sum()
    keep = np.sqrt(self.subsample / frequency)[tokens]
    return random.random(len(tokens)) < keep

  def _predictions(self, tokens, document, random) -> tuple[np.ndarray, ...]:
    """Returns `inputs_PC`, weights_PC and `outputs_P`: C inputs per output."""
    centre, other = pairs(document, self.window, random)
    return (tokens[centre][:, None], np.ones((len(centre), 1), np.float32),
            tokens[other])


@dataclasses.dataclass(frozen=True)
class CBOW(SkipGram):
  """Predicts each token from the mean vector of the tokens around it.

  References:
    Mikolov et al., Efficient Estimation of Word Representations,
    arXiv:1301.3781, section 3.1.
  """

  def _predictions(self, tokens, document, random):
    centre, other = pairs(document, self.window, random)
    order = np.argsort(centre, kind='stable')
    centre, other = centre[order], other[order]
    places, first, count = np.unique(
        centre, return_index=True, return_counts=True)
    row = np.repeat(np.arange(len(places)), count)
    column = np.arange(len(centre)) - np.repeat(first, count)
    inputs = np.zeros((len(places), 2 * self.window), tokens.dtype)
    weights = np.zeros(inputs.shape, np.float32)
    inputs[row, column], weights[row, column] = tokens[other], 1
    return inputs, weights / count[:, None], tokens[places]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class GloVe(_Learned):
  """Factorises the logarithms of co-occurrence counts.

  With X_ij the sum of 1 / distance over all places where j is near i,

    loss = sum f(X_ij) (w_i . u_j + b_i + c_j - log X_ij)^2,
    f(x) = min(1, (x / most)^0.75),

  and the vectors are w + u.

  Attributes:
    size: Dimensions D.
    window: Number of tokens on either side.
    most: Value of X from which on the weight f is 1.
    epochs: Passes over the pairs.
    batch_size: Pairs per step.
    learning_rate: Learning rate of Adagrad.
    seed: Seed of initial vectors and of the order of pairs.

  References:
    Pennington et al., GloVe: Global Vectors for Word Representation, EMNLP
    2014, eq. 8 and 9.
  """
  size: ranges.Count = 100
  window: ranges.Count = 10
  most: ranges.Positive = 100.0
  epochs: ranges.Count = 25
  batch_size: ranges.Count = 4096
  learning_rate: ranges.Positive = 0.05
  seed: ranges.Seed = 0

  def fit(self, documents: Documents, vocab_size: int) -> np.ndarray:
    """Returns `vectors_VD` for the tokens of documents of ids.

    Raises:
      InputError: On an id outside the vocabulary, or no two tokens together.
    """
    tables = self.tables(documents, vocab_size)
    return tables['in'] + tables['out']

  def tables(self, documents: Documents, vocab_size: int
             ) -> dict[str, np.ndarray]:
    """Returns both tables, 'in' and 'out', and their 'in_bias' and 'out_bias'.
    """
    one, other, near = cooccurrences(documents, vocab_size, self.window)
    random = np.random.default_rng(self.seed)
    weight = np.minimum(1, (near / self.most) ** 0.75).astype(np.float32)
    rows = one, np.log(near).astype(np.float32), other, weight
    params = {}
    for name in 'in', 'out':
      for key, shape in ((name, (vocab_size, self.size)),
                         (f'{name}_bias', (vocab_size,))):
        params[key] = (random.random(shape) - 0.5) / self.size
    state = _start(params)
    run, key = _runner(_factorise, self.learning_rate), jax.random.key(0)
    for _ in range(self.epochs):
      state = _trained(run, state, rows, self.batch_size, random, key)
    return jax.tree.map(np.asarray, state[0])


Config = SkipGram | CBOW | GloVe


def into(params: Any, vectors_VD: np.ndarray, path: str = 'embed/embedding',
         std: float | None = 0.02, ids: np.ndarray | None = None) -> Any:
  """Returns the parameters with word vectors as a model's embedding.

  Args:
    params: Parameters, such as the result of `decoder.initial_params`.
    vectors_VD: The vectors. Other rows of the table do not change, such as
      those of ids added later.
    path: The path of the table to replace.
    std: The vectors are scaled to this standard deviation; the default is that
      of an initial embedding. None means no scaling.
    ids: The row of each vector; by default 0, 1, ...

  Raises:
    InputError: If there is no such table, or the sizes do not fit.
  """
  shapes.bind(vectors_VD=vectors_VD)
  table = dict(trees.items(params)).get(path)
  if table is None:
    raise errors.InputError(
        f'The model has no parameter {path}; choose from '
        f'{[name for name, x in trees.items(params) if x.ndim == 2]}.')
  rows, width = vectors_VD.shape
  if width != table.shape[1] or rows > table.shape[0]:
    raise errors.InputError(
        f'The word vectors are {rows} x {width}, but {path} is '
        f'{table.shape[0]} x {table.shape[1]}; train vectors of size '
        f'{table.shape[1]} on the same tokenizer.')
  if std is not None:
    vectors_VD = vectors_VD * (std / np.std(vectors_VD))
  new = jnp.asarray(table).at[np.arange(rows) if ids is None else ids].set(
      jnp.asarray(vectors_VD, table.dtype))
  return trees.map_paths(lambda at, x: new if at == path else x, params)


def pairs(document: np.ndarray, window: int,
          random: np.random.Generator | None = None
          ) -> tuple[np.ndarray, np.ndarray]:
  """Returns the indices of pairs of tokens near each other in a document.

  Args:
    document: The document number of each token, in order.
    window: The largest distance.
    random: Draws the largest distance of each token from 1 to `window`; None
      means `window` for all tokens.
  """
  reach = (np.full(len(document), window) if random is None
           else random.integers(1, window + 1, len(document)))
  centres, others = [], []
  for distance in range(1, window + 1):
    left = np.flatnonzero(document[distance:] == document[:-distance])
    for centre, other in ((left, left + distance), (left + distance, left)):
      seen = reach[centre] >= distance
      centres.append(centre[seen])
      others.append(other[seen])
  return np.concatenate(centres), np.concatenate(others)


def cooccurrences(documents: Documents, vocab_size: int, window: int
                  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns pairs of nearby tokens, i and j, and the X_ij of `GloVe`."""
  tokens, document = _joined(documents, vocab_size)
  centre, other = pairs(document, window)
  keys, where = np.unique(
      tokens[centre].astype(np.int64) * vocab_size + tokens[other],
      return_inverse=True)
  near = np.bincount(where, 1 / np.abs(centre - other))
  one, other = np.divmod(keys, vocab_size)
  return one.astype(np.int32), other.astype(np.int32), near


def _predict(params, rows, key, *, limits_V, negatives):
  """Returns the summed loss of P predictions, each from C tokens."""
  inputs_PC, weights_PC, outputs_P, counted_P = rows
  h_PD = jnp.einsum('PCD,PC->PD', params['in'][inputs_PC], weights_PC)
  u_PK = jax.random.uniform(key, (len(outputs_P), negatives))
  noise_PK = jnp.searchsorted(limits_V, u_PK)
  noise_PK = jnp.minimum(noise_PK, len(limits_V) - 1)  # For rounding errors.
  right_P = jnp.einsum('PD,PD->P', h_PD, params['out'][outputs_P])
  wrong_PK = jnp.einsum('PD,PKD->PK', h_PD, params['out'][noise_PK])
  loss_P = -jax.nn.log_sigmoid(right_P) - jnp.sum(
      jax.nn.log_sigmoid(-wrong_PK), axis=-1)
  return jnp.sum(loss_P * counted_P)


def _factorise(params, rows, key):
  """Returns the summed loss of P pairs."""
  del key
  one_P, log_P, other_P, weight_P, counted_P = rows
  told_P = (jnp.einsum('PD,PD->P', params['in'][one_P], params['out'][other_P])
            + params['in_bias'][one_P] + params['out_bias'][other_P])
  return jnp.sum(weight_P * jnp.square(told_P - log_P) * counted_P)


def _start(params) -> tuple[Any, Any]:
  """Returns float32 parameters, and Adagrad's initial sums of squares."""
  params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)
  return params, jax.tree.map(lambda x: jnp.full_like(x, 0.1), params)


def _runner(loss, rate: float):
  """Returns `run(state, rows, key) -> state`: an Adagrad step per batch."""
  def step(state, batch):
    params, squares = state
    rows, key = batch
    gradient = jax.grad(loss)(params, rows, key)
    squares = jax.tree.map(lambda s, g: s + g * g, squares, gradient)
    params = jax.tree.map(
        lambda p, g, s: p - rate * g * jax.lax.rsqrt(s), params, gradient,
        squares)
    return (params, squares), None

  @functools.partial(jax.jit, donate_argnums=0)
  def run(state, rows, key):
    keys = jax.random.split(key, len(rows[0]))
    return jax.lax.scan(step, state, (rows, keys))[0]
  return run


def _trained(run, state, rows, batch_size: int, random, key):
  """Returns the state after one pass over the rows, in random order.

  All calls have the same shape: the last one is padded with rows of weight 0.
  """
  order = random.permutation(len(rows[0]))
  needed = -(-len(order) // batch_size)
  count = min(_BLOCK, 1 << max(needed - 1, 0).bit_length())
  for start in range(0, len(order), count * batch_size):
    chosen = order[start:start + count * batch_size]
    counted = np.zeros(count * batch_size, np.float32)
    counted[:len(chosen)] = 1
    chosen = np.resize(chosen, len(counted))
    block = tuple(x.reshape(count, batch_size, *x.shape[1:]) for x in (
        *(x[chosen] for x in rows), counted))
    state = run(state, block, jax.random.fold_in(key, start))
  return state


def _joined(documents: Documents, vocab_size: int
            ) -> tuple[np.ndarray, np.ndarray]:
  """Returns all tokens, and the document number of each."""
  rows = [np.asarray(tokens, np.int32) for tokens in documents]
  tokens = np.concatenate([*rows, np.zeros(0, np.int32)])
  if not any(len(row) > 1 for row in rows):
    raise errors.InputError(
        'Word vectors need at least one document of two tokens; got none.')
  if not 0 <= tokens.min() <= tokens.max() < vocab_size:
    wrong = tokens[(tokens < 0) | (tokens >= vocab_size)][0]
    raise errors.InputError(
        f'A document has token id {wrong}, but the vocabulary has '
        f'{vocab_size} ids.')
  return tokens, np.repeat(np.arange(len(rows)), [len(row) for row in rows])
