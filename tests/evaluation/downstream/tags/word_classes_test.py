"""Scores of words against counts by hand, and the jackknife against loops."""
import json
import math

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation.downstream.tags import word_classes

NAMES = 'N', 'V', 'P'
TRUE = ['N V N', 'V N', 'N']
FOUND = ['N N N', 'V V', 'X']


def of(true=TRUE, found=FOUND, **options):
  split = lambda sentences: [s.split() for s in sentences]
  return word_classes.WordClasses.of(
      split(true), split(found), NAMES, **options)


def test_numbers_by_hand():
  found = of(nll=[1.0, 2.0, 0.5], scored=[3, 2, 0])
  metrics = found.metrics
  assert metrics['accuracy'].value == 3 / 6
  # N: 4 there, 3 found, 2 right; V: 2, 2, 1; X: 0, 1, 0; P never occurs.
  assert metrics['macro_f1'].value == pytest.approx((4 / 7 + 2 / 4 + 0) / 3)
  assert metrics['loss'].value == pytest.approx(3.5 / 5)
  tree = json.loads(json.dumps(found.to_dict()))
  assert tree['examples'] == 3 and tree['words'] == 6
  assert [kind['name'] for kind in tree['classes']] == [*NAMES, 'X']
  assert tree['classes'][0]['recall'] == 2 / 4
  assert 'loss' not in of().metrics and not found.tables()
  words = [s.split() for s in ('a b c', 'd b', 'e')]
  (_, rows), = of(texts=words).tables().values()
  assert rows[0] == ('b', '2', '2', 'N', 'V', '1')


def test_standard_errors_are_the_jackknifes_over_sentences():
  rest = [[j for j in range(3) if j != i] for i in range(3)]
  without = [of([TRUE[j] for j in some], [FOUND[j] for j in some]).metrics
             for some in rest]
  for name, estimate in of().metrics.items():
    values = np.array([metrics[name].value for metrics in without])
    expected = math.sqrt(2 / 3 * np.square(values - values.mean()).sum())
    assert estimate.stderr == pytest.approx(expected), name


def test_sentences_of_other_lengths_are_refused():
  with pytest.raises(errors.InputError, match='as many predicted tags'):
    of(['N'], ['N N'])


def test_the_picture_is_drawn(tmp_path):
  of().pictures()['Confusion'](tmp_path / 'confusion.png', 'run')
  assert (tmp_path / 'confusion.png').stat().st_size > 5000
