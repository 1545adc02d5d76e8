"""Word vectors: counts and losses by loops, and their optimum."""
import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models.counted import word_vectors

DOCUMENTS = [[0, 1, 2, 1, 3], [2], [], [3, 3, 0]]
SMALL = dict(size=8, window=2, epochs=40, batch_size=256)


def topics():
  """Documents of two topics: ids 0 to 4, or 5 to 9, and 10 in both."""
  rng = np.random.default_rng(0)
  return [np.append(rng.integers(0, 5, 12) + 5 * (i % 2), 10)
          for i in range(60)]


@pytest.mark.parametrize('config', [
    word_vectors.SkipGram(subsample=None, **SMALL),
    pytest.param(
        word_vectors.CBOW(subsample=0.5, **SMALL), marks=pytest.mark.slow),
    word_vectors.GloVe(**SMALL | dict(epochs=150))],
                         ids=lambda config: type(config).__name__)
def test_tokens_of_a_topic_come_to_lie_together(config):
  vectors = config.fit(topics(), 11)
  assert vectors.shape == (11, 8) and vectors.dtype == np.float32
  unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
  cosine = unit @ unit.T
  same = np.arange(10)[:, None] // 5 == np.arange(10) // 5
  off = ~np.eye(10, dtype=bool)
  assert (cosine[:10, :10][same & off].mean()
          > cosine[:10, :10][~same].mean() + 0.4)
  again = config.fit(topics(), 11)
  np.testing.assert_array_equal(again, vectors)


def test_pairs_are_the_neighbours_in_a_document():
  document = np.repeat(np.arange(4), [len(d) for d in DOCUMENTS])
  centre, other = word_vectors.pairs(document, 2)
  want = {(i, j) for i in range(9) for j in range(9)
          if 0 < abs(i - j) <= 2 and document[i] == document[j]}
  assert set(zip(centre.tolist(), other.tolist())) == want
  assert len(centre) == len(want)
  long = np.zeros(4000, int)
  centre, other = word_vectors.pairs(long, 3, np.random.default_rng(0))
  share = np.bincount(np.abs(centre - other))[1:] / (2 * 4000)
  np.testing.assert_allclose(share, [1, 2/3, 1/3], atol=0.03)


def test_cbow_takes_the_mean_of_what_is_around():
  config = word_vectors.CBOW(window=2)
  random = np.random.default_rng(0)
  tokens = np.arange(10, 16)
  inputs, weights, outputs = config._predictions(
      tokens, np.array([0, 0, 0, 0, 0, 1]), random)
  assert outputs.tolist() == [10, 11, 12, 13, 14]  # The last one is alone.
  np.testing.assert_allclose(weights.sum(axis=1), 1)
  for row, centre in enumerate(outputs):
    seen = sorted(inputs[row][weights[row] > 0])
    reach = max(abs(token - centre) for token in seen)
    assert seen == [t for t in range(10, 15) if 0 < abs(t - centre) <= reach]


def test_cooccurrences_weigh_by_distance():
  want = np.zeros((4, 4))
  for document in DOCUMENTS:
    for i, one in enumerate(document):
      for j, other in enumerate(document):
        if 0 < abs(i - j) <= 3:
          want[one, other] += 1 / abs(i - j)
  one, other, near = word_vectors.cooccurrences(DOCUMENTS, 4, 3)
  got = np.zeros((4, 4))
  got[one, other] = near
  np.testing.assert_allclose(got, want)


def test_skip_gram_factorises_the_shifted_mutual_information():
  rng = np.random.default_rng(0)
  table = rng.dirichlet(np.full(4, 1.0), 4) * 0.9 + 0.025
  tokens = [0]
  for _ in range(2000):
    tokens.append(int(rng.choice(4, p=table[tokens[-1]])))
  config = word_vectors.SkipGram(
      size=6, window=1, negatives=2, subsample=None, epochs=60,
      batch_size=1000, learning_rate=0.2)
  inputs, outputs = config.tables([tokens], 4)
  counts = np.zeros((4, 4))
  for a, b in zip(tokens, tokens[1:]):
    counts[a, b] += 1
    counts[b, a] += 1
  noise = np.bincount(tokens) ** 0.75
  want = np.log(counts / counts.sum(axis=1, keepdims=True) / (
      noise / noise.sum())) - np.log(2)
  np.testing.assert_allclose(inputs @ outputs.T, want, atol=0.2)


@pytest.mark.slow
def test_glove_factorises_the_counts_where_it_can():
  config = word_vectors.GloVe(
      size=8, window=2, epochs=1500, batch_size=16, learning_rate=0.1)
  tables = config.tables(DOCUMENTS, 4)
  one, other, near = word_vectors.cooccurrences(DOCUMENTS, 4, 2)
  told = (tables['in'] @ tables['out'].T + tables['in_bias'][:, None]
          + tables['out_bias'])[one, other]
  np.testing.assert_allclose(told, np.log(near), atol=0.05)
  np.testing.assert_array_equal(
      config.fit(DOCUMENTS, 4), tables['in'] + tables['out'])


def test_rare_pairs_weigh_less_in_glove():
  params = {'in': jnp.zeros((2, 1)), 'out': jnp.zeros((2, 1)),
            'in_bias': jnp.zeros(2), 'out_bias': jnp.zeros(2)}
  rows = (np.array([0, 1]), np.log(np.array([4.0, 9.0])), np.array([1, 0]),
          np.array([0.5, 1.0]), np.array([1.0, 0.0]))
  loss = word_vectors._factorise(params, rows, None)
  assert loss == pytest.approx(0.5 * np.log(4.0) ** 2, rel=1e-5)


def test_vectors_become_an_embedding():
  params = {'embed': {'embedding': jnp.ones((5, 3))}, 'head': jnp.ones((3, 5))}
  vectors = np.random.default_rng(0).normal(size=(4, 3)) * 7
  got = word_vectors.into(params, vectors)
  table = got['embed']['embedding']
  np.testing.assert_allclose(
      table[:4], vectors * 0.02 / vectors.std(), rtol=1e-5)
  np.testing.assert_array_equal(table[4], 1)
  np.testing.assert_array_equal(got['head'], params['head'])
  raw = word_vectors.into(params, vectors, std=None)
  np.testing.assert_allclose(raw['embed']['embedding'][:4], vectors, rtol=1e-6)


def test_vectors_of_some_ids_leave_the_other_rows():
  params = {'embed': {'embedding': jnp.ones((5, 3))}}
  got = word_vectors.into(
      params, np.full((2, 3), 7.0), std=None, ids=np.array([3, 1]))
  np.testing.assert_array_equal(
      got['embed']['embedding'][:, 0], [1, 7, 1, 7, 1])


def test_bad_input_is_refused_with_the_fix():
  params = {'embed': {'embedding': jnp.ones((5, 3))}}
  with pytest.raises(errors.InputError, match='4 x 2, but .* is 5 x 3; train'):
    word_vectors.into(params, np.ones((4, 2)))
  with pytest.raises(errors.InputError, match="choose from .*embed/embedding"):
    word_vectors.into(params, np.ones((4, 3)), 'tokens')
  with pytest.raises(errors.InputError, match='id 7, but the vocabulary has 4'):
    word_vectors.SkipGram().fit([[1, 7]], 4)
  with pytest.raises(errors.InputError, match='document of two tokens'):
    word_vectors.GloVe().fit([[1], []], 4)
  for changes in (dict(window=0), dict(subsample=0.0), dict(learning_rate=0)):
    with pytest.raises(errors.InputError, match=next(iter(changes))):
      dataclasses.replace(word_vectors.SkipGram(), **changes)
  with pytest.raises(errors.InputError, match='most should be above 0'):
    word_vectors.GloVe(most=0)
