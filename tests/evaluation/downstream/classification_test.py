"""Classification metrics against values computed by hand."""
import dataclasses
import itertools
import json
import math

from matplotlib import figure
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation.downstream import classification

_LABELS = [0, 0, 0, 0, 1, 1, 2, 2]
_PREDICTIONS = [0, 0, 1, 2, 1, 0, 2, 2]


def _result(names=('a', 'b', 'c', 'never')):
  return classification.Classification.of(_LABELS, _PREDICTIONS, names)


def test_metrics_equal_hand_computed_ones():
  result = _result()
  assert result.confusion_CC.tolist() == [
      [2, 1, 1, 0], [1, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0]]
  assert result.accuracy == 5 / 8
  assert result.accuracy_stderr == pytest.approx(math.sqrt(5 / 8 * 3 / 8 / 7))
  np.testing.assert_allclose(result.precision, [2 / 3, 1 / 2, 2 / 3, 0])
  np.testing.assert_allclose(result.recall, [1 / 2, 1 / 2, 1, 0])
  np.testing.assert_allclose(result.f1, [4 / 7, 1 / 2, 4 / 5, 0])
  # A class that neither is nor is predicted has no F1 to average.
  assert result.macro_f1 == pytest.approx((4 / 7 + 1 / 2 + 4 / 5) / 3)


def test_a_class_without_right_predictions_has_f1_0():
  result = classification.Classification.of([0, 0], [0, 1], ['a', 'b'])
  assert result.macro_f1 == pytest.approx((2 / 3 + 0) / 2)


def test_to_dict_is_json():
  tree = json.loads(json.dumps(_result().to_dict()))
  assert tree['accuracy'] == 5 / 8 and tree['examples'] == 8
  assert tree['classes'][2] == {
      'name': 'c', 'examples': 2, 'precision': pytest.approx(2 / 3),
      'recall': 1.0, 'f1': pytest.approx(0.8)}
  assert tree['confusion'][0] == [2, 1, 1, 0]


def test_the_picture_is_drawn(tmp_path):
  path = tmp_path / 'confusion.png'
  classification.plot(path, _result(('a', '$b$', 'ü', '$')))
  assert path.read_bytes().startswith(b'\x89PNG') and path.stat().st_size > 5000


@pytest.mark.parametrize('size', [2, 40])
def test_title_recall_and_colour_bar_of_the_picture_stay_apart(
    size, tmp_path, monkeypatch):
  drawn = []
  monkeypatch.setattr(
      figure.Figure, 'savefig', lambda self, *_, **__: drawn.append(self))
  names = [f'class {i}' for i in range(size)]
  result = classification.Classification.of([0, 0, 1], [0, 1, 1], names)
  classification.plot(tmp_path / 'x.png', result, 'a run, test split')
  picture, = drawn
  picture.draw_without_rendering()
  matrix, bar = picture.axes
  right, = matrix.child_axes
  recalls = [label.get_text() for label in right.get_yticklabels()]
  assert recalls == ['0.50', '1.00'] + ['-'] * (size - 2)
  boxes = [picture._suptitle.get_window_extent(), matrix.get_tightbbox(),
           bar.get_tightbbox()]
  for one, other in itertools.combinations(boxes, 2):
    assert not one.overlaps(other)
  heights = [label.get_window_extent() for label in matrix.get_yticklabels()]
  assert not any(a.overlaps(b) for a, b in itertools.pairwise(heights))


def test_of_very_many_classes_some_are_named(tmp_path, monkeypatch):
  drawn = []
  monkeypatch.setattr(
      figure.Figure, 'savefig', lambda self, *_, **__: drawn.append(self))
  names = [str(i) for i in range(1000)]
  result = classification.Classification.of([0], [0], names)
  classification.plot(tmp_path / 'x.png', result)
  labels = drawn[0].axes[0].get_yticklabels()
  assert 100 < len(labels) < 500
  assert labels[0].get_fontsize() >= 5
  assert max(drawn[0].get_size_inches()) < 40


def test_metrics_have_standard_errors():
  metrics = _result().metrics
  assert list(metrics) == ['accuracy', 'macro_f1', 'matthews']
  assert metrics['accuracy'].stderr == _result().accuracy_stderr
  without = [classification.Classification.of(
      np.delete(_LABELS, i), np.delete(_PREDICTIONS, i),
      ('a', 'b', 'c', 'never')).macro_f1 for i in range(8)]
  expected = math.sqrt(7 / 8 * np.square(without - np.mean(without)).sum())
  assert metrics['macro_f1'].stderr == pytest.approx(expected)


def test_the_loss_is_that_of_normalised_logits():
  logits = np.log([[0.7, 0.3], [0.6, 0.4]]) + 5
  result = classification.Classification.of_logits([0, 1], logits, 'ab')
  assert result.metrics['loss'].value == pytest.approx(
      -np.log([0.7, 0.4]).mean())
  assert result.to_dict()['loss_stderr'] == pytest.approx(
      np.log(0.7 / 0.4) / 2)


@pytest.mark.parametrize('labels, predictions, words', [
    ([0, 3], [0, 1], 'A label should be 0 to 2.*got 3'),
    ([0, 1], [-1, 1], 'A prediction should be 0 to 2.*got -1'),
    ([0], [0, 1], 'equally long'), ([], [], 'equally long')])
def test_bad_classes_are_refused(labels, predictions, words):
  with pytest.raises(errors.InputError, match=words):
    classification.Classification.of(labels, predictions, ['a', 'b', 'c'])


def test_matthews_is_the_correlation_of_indicators():
  result = _result()
  x_NC = np.eye(4)[_LABELS] - np.eye(4)[_LABELS].mean(axis=0)
  y_NC = np.eye(4)[_PREDICTIONS] - np.eye(4)[_PREDICTIONS].mean(axis=0)
  expected = np.sum(x_NC * y_NC) / math.sqrt(
      np.sum(x_NC**2) * np.sum(y_NC**2))
  assert result.matthews == pytest.approx(expected)
  constant = classification.Classification.of([0, 1], [0, 0], ['a', 'b'])
  assert constant.matthews == 0


def test_two_classes_with_probabilities_are_ranked():
  logits = np.log([[0.7, 0.3], [0.6, 0.4], [0.4, 0.6]])
  result = classification.Classification.of_logits([0, 1, 0], logits, 'ab')
  assert result.metrics['auc'].value == 0.5
  assert result.metrics['average_precision'].value == 0.5
  assert list(result.pictures()) == ['Confusion', 'Precision-recall']
  three = classification.Classification.of_logits([0], np.zeros((1, 3)), 'abc')
  assert 'auc' not in three.metrics


def test_a_named_class_has_its_f1():
  result = dataclasses.replace(_result(), shown=('c',))
  assert result.metrics['f1/c'].value == pytest.approx(0.8)
  assert result.metrics['f1/c'].stderr > 0


def test_tables_show_classes_and_the_worst_errors_first():
  logits = np.log([[0.7, 0.3], [0.9, 0.1], [0.4, 0.6], [0.8, 0.2]])
  result = dataclasses.replace(
      classification.Classification.of_logits([0, 1, 0, 1], logits, 'ab'),
      texts=('fine', 'a\n' + 'b' * 300, 'mild', 'bad'))
  tables = result.tables()
  assert tables['Classes'][1][0] == ('a', '2', '0.333', '0.500', '0.400')
  rows = tables['Worst errors'][1]
  assert [row[:-1] for row in rows] == [
      ('b', '0.1000', 'a', '0.9000'), ('b', '0.2000', 'a', '0.8000'),
      ('a', '0.4000', 'b', '0.6000')]
  assert rows[0][-1].startswith('a b') and len(rows[0][-1]) == 200
  right = dataclasses.replace(classification.Classification.of_logits(
      [0], logits[:1], 'ab'), texts=('fine',))
  assert list(right.tables()) == ['Classes']


def test_log_probabilities_do_not_depend_on_an_offset():
  logits_NC = np.array([[1.0, 2.0, 3.0]])
  np.testing.assert_allclose(
      classification.log_shares(logits_NC),
      classification.log_shares(logits_NC + 1e3))
  shares_NC = np.exp(classification.log_shares(logits_NC))
  assert shares_NC.sum() == pytest.approx(1)
