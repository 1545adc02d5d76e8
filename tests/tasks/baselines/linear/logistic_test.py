"""Logistic regression: the minimum, and how its strength is chosen."""
import numpy as np
import pytest

from lmjax.tasks.baselines.linear import logistic
from lmjax.tasks import task

LABELS = ('n', 'p', 'q')


def examples(pairs):
  return [task.Example(text, label, '') for text, label in pairs]


TRAIN = examples([('good film', 'p'), ('a good one', 'p'), ('bad film', 'n'),
                  ('a bad one', 'n'), ('so so', 'q'), ('so bad so good', 'q')])


def test_the_gradient_is_zero_at_the_minimum():
  fitted = logistic.Logistic.fit(TRAIN, LABELS)
  assert fitted.strength == 4
  x_NF = fitted.bags([e.text for e in TRAIN]).toarray()
  shares = np.exp(fitted([e.text for e in TRAIN]))
  shares /= shares.sum(axis=1, keepdims=True)
  missing = np.eye(3)[[LABELS.index(e.label) for e in TRAIN]] - shares
  np.testing.assert_allclose(
      fitted.weights_FC, 4 * x_NF.T @ missing, atol=0.03)
  np.testing.assert_allclose(missing.sum(axis=0), 0, atol=0.01)
  assert np.abs(fitted.weights_FC).max() > 0.5


@pytest.mark.parametrize('label, strength', [('p', 1), ('n', 4)])
def test_the_strength_grows_while_it_helps_on_validation_texts(
    label, strength, monkeypatch):
  def fitted(x_NF, targets_N, strength, start):
    weights = np.zeros_like(start)  # 'p' at strength 1, then 'n'.
    weights[-1, 1 if strength == 1 else 0] = 1
    return weights
  monkeypatch.setattr(logistic, '_fitted', fitted)
  valid = examples([('good', label)])
  assert logistic.Logistic.fit(TRAIN, LABELS, valid).strength == strength


def test_unseen_texts_get_the_frequencies_of_classes():
  train = TRAIN + examples([('fine', 'p')] * 14)
  log_p, = logistic.Logistic.fit(train, LABELS)(['xyz'])
  assert log_p.argmax() == 1


def test_the_texts_of_a_pair_are_read_as_one():
  pairs = [task.Example(word, label, '', 'film') for word, label in (
      ('good', 'p'), ('good', 'p'), ('bad', 'n'), ('bad', 'n'))]
  fitted = logistic.Logistic.fit(pairs, LABELS)
  assert fitted(['good film', 'bad film']).argmax(axis=1).tolist() == [1, 0]


def test_a_model_is_the_same_after_a_journey_through_arrays():
  fitted = logistic.Logistic.fit(TRAIN, LABELS)
  arrays = fitted.arrays()
  texts = ['good film', 'a bad one', 'xyz', '', 'so\ud800']
  np.testing.assert_array_equal(
      logistic.Logistic.of(arrays)(texts), fitted(texts))
  for wrong in ({}, {name: arrays[name] for name in arrays if name != 'bias'},
                arrays | {'weights': fitted.weights_FC[1:]},
                arrays | {'words_keys': arrays['words_keys'][1:]}):
    with pytest.raises(ValueError):
      logistic.Logistic.of(wrong)
