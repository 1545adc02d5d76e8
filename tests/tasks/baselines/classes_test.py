"""Baselines by hand: counts, smoothing and unseen words."""
import numpy as np
import pytest

from lmjax.tasks.baselines import classes as baselines
from lmjax.tasks import task

TRAIN = [task.Example(text, label, '') for text, label in (
    ('good fine', 'p'), ('good', 'p'), ('bad', 'n'), ('Good!', 'p'))]
LABELS = ('n', 'p')


def test_majority_says_the_commonest_class_with_its_share():
  fitted = baselines.Majority.fit(TRAIN, LABELS)
  log_p = fitted(['bad', 'whatever'])
  np.testing.assert_allclose(np.exp(log_p), [[0.25, 0.75]] * 2)


def test_naive_bayes_by_hand():
  fitted = baselines.NaiveBayes.fit(TRAIN, LABELS, ngrams=1)
  # Features: good x3, fine, ! in p; bad in n; V = 4, one added to each.
  expected = [np.log(0.25) + np.log(1 / 5) + np.log(2 / 5),
              np.log(0.75) + np.log(4 / 9) + np.log(1 / 9)]
  np.testing.assert_allclose(fitted(['unseen good BAD'])[0], expected)


def test_pairs_of_words_are_features_too():
  train = [task.Example(text, label, '') for text, label in (
      ('not good', 'n'), ('good not', 'p'))]
  words = baselines.NaiveBayes.fit(train, LABELS, ngrams=1)(['not good'])[0]
  pairs = baselines.NaiveBayes.fit(train, LABELS)(['not good'])[0]
  assert words[0] == words[1] and pairs[0] > pairs[1]


@pytest.mark.parametrize('name', sorted(baselines.BASELINES))
def test_a_class_never_seen_stays_finite(name):
  fitted = baselines.BASELINES[name].fit(TRAIN, ('n', 'p', 'q'))
  assert np.isfinite(fitted(['good'])).all()
  assert fitted(['good']).argmax() == 1
