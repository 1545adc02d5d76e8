"""Regression: numbers in and out, their unit, metrics and baselines."""
import dataclasses

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax.models import encoder
from lmjax.tasks.baselines import regression as baselines
from lmjax.tasks.readers.texts import delimited
from lmjax.tasks.readers.texts import in_memory
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks import regression
from lmjax.tasks import rows as rows_lib
from lmjax.tasks import task

BYTES = symbols.Bytes().build()


def source(train, test=(('z', '3'), ('zz', '5'))):
  return labelled.Labelled(
      *map(in_memory.InMemory, (train, test, test)), drop_shared=False)


def built(train=(('a', '10'), ('b', '20'), ('c', '60')), **options):
  value = regression.Regression(
      source(train), rows_lib.Features(lengths=(8,), batch_size=2), **options)
  splits = value.read()
  return value, splits, value.rows(splits.test, splits, BYTES)


def test_labels_are_standardised_by_training_and_answers_are_in_their_unit():
  value, splits, rows = built()
  assert splits.scale == (30.0, pytest.approx(np.std([10, 20, 60])))
  assert splits.labels == ()
  spread = splits.scale[1]
  np.testing.assert_allclose(
      rows.by_row['labels'], [-27 / spread, -25 / spread], rtol=1e-6)
  assert rows.by_row['labels'].dtype == np.float32
  outputs = [np.float32(-1.5), np.float32(0.0)]
  first, second = value.answers(outputs, splits.test, rows, splits)
  assert first == {'text': 'z', 'label': 3.0, 'predicted': pytest.approx(
      30 - 1.5 * spread, rel=1e-6)}
  assert second['predicted'] == 30.0
  result = value.judge(outputs, splits.test, rows, splits)
  assert result.metrics['mse'].value == pytest.approx(
      ((27 - 1.5 * spread)**2 + 25**2) / 2)
  assert result.metrics['loss'].value == pytest.approx(
      result.metrics['mse'].value / spread**2)


def test_the_loss_on_a_split_is_the_judges():
  value, splits, rows = built()
  _, batch = next(rows.once())

  class Says:
    def apply(self, *_, **__):
      return np.array([[-1.5], [0.0]], np.float32)
  loss = value.loss(Says())({}, batch)['loss'].value
  outputs = list(value.outputs(Says())({}, batch))
  result = value.judge(outputs, splits.test, rows, splits)
  assert loss == pytest.approx(result.metrics['loss'].value, rel=1e-6)


def test_the_model_has_one_number():
  value, splits, _ = built()
  model = value.model(encoder.EncoderConfig(vocab_size=5, width=8), splits)
  assert (model.outputs, model.head) == (1, 'number')


def test_what_is_not_labelled_has_no_label():
  value, splits, _ = built()
  asked = value.examples(('a', 'b'), 'f:1')
  rows = value.rows(asked, splits, BYTES)
  assert rows.by_row['labels'].tolist() == [0.0]
  answer, = value.answers([np.float32(0)], asked, rows, splits)
  assert answer == {'text': 'a', 'second': 'b', 'predicted': 30.0}


@pytest.mark.parametrize('label', ['nan', 'inf', '3,8', 'high', '1e999'])
def test_a_label_that_is_no_number_is_refused_with_its_place(label, tmp_path):
  path = tmp_path / 'test.tsv'
  path.write_text(f'a\t1\nb\t{label}\n')
  value = regression.Regression(dataclasses.replace(
      source((('a', '1'), ('b', '2'))), test=delimited.Delimited(
          (str(path),), ('0',), '1', '\t', header=False)))
  with pytest.raises(errors.InputError,
                     match=f"test.tsv:2: label '{label}' is no finite number"):
    value.read()


def test_labels_that_are_all_equal_are_refused():
  with pytest.raises(errors.InputError, match='all 2 of the train split are 3'):
    built((('a', '3'), ('b', '3.0')))


def test_baselines_are_fitted_to_training_and_scored_on_test():
  value, splits, rows = built()
  results = value.baselines(splits, rows)
  assert list(results) == ['mean', 'ridge regression']
  assert results['mean'].predictions_N.tolist() == [30, 30]
  assert results['mean'].metrics['mse'].value == (27**2 + 25**2) / 2
  assert results['mean'].metrics['pearson'].value is None
  with pytest.raises(errors.InputError, match="Did you mean 'ridge'"):
    regression.Metrics(baselines=('rigde',))


def test_the_digest_knows_numbers():
  value, splits, _ = built()
  assert splits.digest() != value.__class__(
      source((('a', '10'), ('b', '21'), ('c', '60')))).read().digest()
  assert task.Splits([], [], []).scale == (0.0, 1.0)


def stacked():
  """Returns a stack on lengths of texts, and splits that it has read."""
  train = tuple(('a ' * n, str(n)) for n in (1, 2, 3, 4, 5, 6) * 3)
  value = regression.Regression(
      labelled.Labelled(
          in_memory.InMemory(train),
          in_memory.InMemory((('a a', '2'), ('a a a a a', '5'))),
          in_memory.InMemory((('a a a', '3'), ('a a a a', '4'))),
          drop_shared=False),
      rows_lib.Features(lengths=(8, 16), batch_size=2), stack=True)
  return value, value.read()


def test_a_stack_weighs_the_model_and_the_ridge_regression():
  value, splits = stacked()
  wrong = [np.float32(0.9), np.float32(-0.9)]  # Says much, then little.
  rows = value.rows(splits.test, splits, BYTES)
  before = value.judge(wrong, splits.test, rows, splits)
  assert not before.parts and before.metrics['pearson'].value == pytest.approx(
      -1)
  settled = value.settled(
      lambda: wrong, value.rows(splits.valid, splits, BYTES), splits)
  model, ridge = settled.thresholds
  assert model < 0.3 < ridge
  swapped = dataclasses.replace(splits, valid=splits.valid[::-1])
  with_swapped = value.settled(
      lambda: wrong, value.rows(swapped.valid, swapped, BYTES), swapped)
  assert with_swapped.thresholds[0] > model  # Right about the longer text.
  result = value.judge(wrong, splits.test, rows, settled)
  alone = [part.metrics['mse'].value for part in result.parts.values()]
  assert result.metrics['pearson'].value == pytest.approx(1)
  assert result.metrics['mse'].value < alone[0]
  head, lines = result.tables()['Alone']
  assert head[:2] == ('regression', 'loss')
  assert lines[1][0] == f'ridge, weight {ridge:.2f}'
  assert result.to_dict()['alone'][lines[0][0]]['pearson'] == pytest.approx(-1)
  low, high = (answer['predicted'] for answer in value.answers(
      wrong, splits.test, rows, settled))
  assert low < high


def test_a_stack_fits_the_ridge_regression_once(monkeypatch):
  value, splits = stacked()
  fitted = value.baselines(splits, None)['ridge regression']
  monkeypatch.setattr(baselines.Ridge, 'fit', None)
  again = value.baselines(splits, None)['ridge regression']
  np.testing.assert_array_equal(fitted.predictions_N, again.predictions_N)


def test_a_stack_without_its_ridge_regression_is_refused():
  value, splits = stacked()
  splits = dataclasses.replace(splits, thresholds=(0.5, 0.5))
  for fitted in ({}, dict(splits.fitted, centre=np.zeros(3))):
    lacking = dataclasses.replace(splits, fitted=fitted)
    with pytest.raises(errors.InputError, match='task.stack needs .*fitted.npz'):
      value.judge([np.zeros(2)] * 2, splits.test, None, lacking)
