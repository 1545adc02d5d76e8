"""The mean, and ridge regression against plain algebra."""
import numpy as np
import pytest

from lmjax.tasks.baselines import regression as baselines
from lmjax.tasks import task


def examples(*texts):
  return [task.Example(text[0], '0', '', *text[1:]) for text in texts]


def test_the_mean_is_of_training():
  fitted = baselines.Mean.fit(examples(['a'], ['b']), np.array([1.0, 4.0]))
  assert fitted(examples(['x'], ['y'], ['z'])).tolist() == [2.5] * 3


@pytest.mark.parametrize('size, features', [(30, 12), (9, 6)])
def test_the_weights_are_those_of_the_penalty_of_least_score(size, features):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(size, features))
  x -= x.mean(axis=0)
  y = x @ rng.normal(size=features) + 3 * rng.normal(size=size)
  y -= y.mean()
  scores = {}
  for penalty in 10.0 ** np.arange(-2, 5.5, 0.5):
    inverse = np.linalg.inv(x.T @ x + penalty * np.eye(features))
    weights = inverse @ x.T @ y
    free = size - 1 - np.trace(x @ inverse @ x.T)
    scores[np.sum((y - x @ weights)**2) / free**2] = weights
  assert len(scores) > 10
  np.testing.assert_allclose(
      baselines.solve(x, y), scores[min(scores)], rtol=1e-8)


def test_what_two_texts_share():
  found = baselines.overlaps('The cat sat.', 'the cat ran fast .')
  # Words: the, cat, . of 4 and 5; pairs: (the cat) of 3 and 4; lengths.
  assert found[:6] == pytest.approx([6 / 9, 3 / 4, 3 / 5, 2 / 7, 1 / 3, 1 / 4])
  assert found[9] == pytest.approx(1 / 9)
  assert baselines.overlaps('a b c', 'a b c') == [1.0] * 9 + [0.0]
  assert baselines.overlaps('', '') == [0.0] * 10


def test_ridge_learns_from_words_and_from_what_pairs_share():
  rng = np.random.default_rng(0)
  words = rng.choice(['good', 'bad', 'so', 'very', 'new'], size=(200, 6))
  singles = examples(*([' '.join(row)] for row in words))
  labels = (words == 'good').sum(axis=1) - 2.0 * (words == 'bad').sum(axis=1)
  fitted = baselines.Ridge.fit(singles[:150], labels[:150])
  assert np.corrcoef(fitted(singles[150:]), labels[150:])[0, 1] > 0.9

  pairs = examples(*([' '.join(a), ' '.join(b)]
                     for a, b in zip(words, words[::-1])))
  shared = np.array([len({*a} & {*b}) / len({*a} | {*b})
                     for a, b in zip(words, words[::-1])])
  fitted = baselines.Ridge.fit(pairs[:150], shared[:150])
  assert np.corrcoef(fitted(pairs[150:]), shared[150:])[0, 1] > 0.9


def test_texts_without_words_are_predicted_as_the_mean():
  fitted = baselines.Ridge.fit(examples([' '], [' ']), np.array([1.0, 2.0]))
  assert fitted(examples(['x'])).tolist() == [1.5]


def test_a_ridge_regression_is_read_back():
  read = examples(['zebra apple'], ['apple'], ['zebra'], ['mango zebra'])
  fitted = baselines.Ridge.fit(read, np.array([5., 1., 4., 6.]))
  assert list(fitted.vocabulary) != sorted(fitted.vocabulary)
  again = baselines.Ridge.of(fitted.arrays())
  np.testing.assert_array_equal(fitted(read), again(read))
  with pytest.raises(ValueError, match="'scale'.*missing"):
    baselines.Ridge.of({'mean': np.zeros(())})
