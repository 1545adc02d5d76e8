"""Classification: labels as ids, metrics, answers and baselines."""
import dataclasses

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax.tasks import classification
from lmjax.tasks.readers import in_memory
from lmjax.tasks.readers import labelled
from lmjax.tasks import rows as rows_lib
from lmjax.tasks import task

BYTES = symbols.Bytes().build()


def built(examples, labels=('a', 'b'), **options):
  features = rows_lib.Features(**{'lengths': (4, 8), 'batch_size': 3} | options)
  value = classification.Classification(features=features)
  splits = task.Splits([], [], examples, labels)
  return value, splits, value.rows(examples, splits, BYTES)


def test_a_label_that_is_no_class_is_refused_with_its_place():
  with pytest.raises(errors.InputError, match="f:3: label 'pos' is not one of "
                     r"the 2 classes \['neg', 'poss'\]. Did you mean 'poss'"):
    built([task.Example('x', 'pos', 'f:3')], ('neg', 'poss'))


def test_numbers_by_hand():
  examples = [task.Example('x', label, '') for label in 'aba']
  value, splits, rows = built(examples)
  logits = np.log([[0.7, 0.3], [0.6, 0.4], [0.9, 0.1]])
  result = value.judge(list(logits), examples, rows, splits)
  numbers = {name: found.value for name, found in result.metrics.items()}
  assert numbers['loss'] == pytest.approx(-np.log([0.7, 0.4, 0.9]).mean())
  assert numbers['accuracy'] == pytest.approx(2 / 3)
  assert numbers['macro_f1'] == pytest.approx((4 / 5 + 0) / 2)


def test_baselines_are_fitted_to_training_and_scored_on_test():
  train = [task.Example(text, label, '') for text, label in (
      ('good', 'p'), ('fine', 'p'), ('bad', 'n'))]
  test = [task.Example(text, label, '') for text, label in (
      ('bad', 'n'), ('bad', 'n'), ('fine', 'p'))]
  value, splits, rows = built(test, ('n', 'p'))
  results = value.baselines(dataclasses.replace(
      splits, train=train, valid=train), rows)
  assert {name: r.accuracy for name, r in results.items()} == {
      'majority': 1 / 3, 'naive Bayes': 1.0, 'linear': 1.0}


def test_unknown_baselines_are_refused():
  with pytest.raises(errors.InputError, match="Did you mean 'majority'"):
    classification.Metrics(baselines=('majorty',))


def test_answers_hold_text_label_and_probabilities():
  examples = [task.Example('x', 'b', '', 'y'), task.Example('z', None, '')]
  value, splits, rows = built(examples)
  first, second = value.answers(
      list(np.log([[0.75, 0.25], [0.5, 0.5]])), examples, rows, splits)
  assert first == {
      'text': 'x', 'second': 'y', 'label': 'b', 'predicted': 'a',
      'probabilities': {'a': 0.75, 'b': 0.25}, 'logits': [-0.2877, -1.3863]}
  assert 'label' not in second and second['text'] == 'z'


def test_one_class_is_refused():
  same = labelled.Labelled(*[in_memory.InMemory((('x', 'a'),))] * 3,
                           drop_shared=False)
  with pytest.raises(errors.InputError, match='2 classes'):
    classification.Classification(source=same).read()
