"""Regression metrics against values computed by hand."""
import json
import math

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation.downstream import regression

LABELS, PREDICTIONS = [1.0, 2.0, 4.0, 5.0], [1.5, 1.0, 4.0, 7.0]


def test_metrics_equal_hand_computed_ones():
  result = regression.Regression.of(LABELS, PREDICTIONS, spread=2.0)
  values = {name: found.value for name, found in result.metrics.items()}
  assert list(values) == ['loss', 'pearson', 'spearman', 'mse']
  assert values['mse'] == pytest.approx((0.25 + 1 + 0 + 4) / 4)
  assert values['loss'] == pytest.approx(values['mse'] / 4)
  assert values['pearson'] == pytest.approx(
      np.corrcoef(LABELS, PREDICTIONS)[0, 1])
  assert values['spearman'] == pytest.approx(1 - 6 * 2 / (4 * 15))
  assert result.metrics['mse'].stderr == pytest.approx(
      np.std([0.25, 1, 0, 4], ddof=1) / 2)
  assert result.metrics['pearson'].stderr > 0
  assert result.examples == 4


def test_to_dict_is_json():
  tree = json.loads(json.dumps(
      regression.Regression.of(LABELS, PREDICTIONS).to_dict()))
  assert tree['examples'] == 4 and tree['labels']['mean'] == 3.0
  assert tree['predictions']['std'] == pytest.approx(np.std(PREDICTIONS))
  assert tree['spearman_stderr'] > 0 and 'spearman_why' not in tree


def test_a_correlation_of_constants_is_none_and_says_why():
  tree = regression.Regression.of(LABELS, [2.0] * 4).to_dict()
  assert tree['pearson'] is tree['spearman'] is None
  assert tree['pearson_why'] == tree['spearman_why'] == 'all predictions are 2'
  assert tree['mse'] == pytest.approx(3.5)
  one = regression.Regression.of([1.0], [2.0]).metrics
  assert one['pearson'].value is None and one['mse'].value == 1
  assert one['pearson'].why == 'there is one example only'
  broken = regression.Regression.of([1.0, 2.0], [math.nan, 1.0]).metrics
  assert broken['pearson'].why == 'not all predictions are finite'


@pytest.mark.parametrize('predictions', [PREDICTIONS, [3.0] * 4])
def test_the_picture_is_drawn(tmp_path, predictions):
  result = regression.Regression.of(LABELS, predictions)
  draw, = result.pictures().values()
  draw(tmp_path / 'scatter.png', 'a $title')
  written = (tmp_path / 'scatter.png').read_bytes()
  assert written.startswith(b'\x89PNG') and len(written) > 5000


def test_lists_that_do_not_pair_are_refused():
  for labels, predictions in ([1.0], [1.0, 2.0]), ([], []):
    with pytest.raises(errors.InputError, match='equally long'):
      regression.Regression.of(labels, predictions)
