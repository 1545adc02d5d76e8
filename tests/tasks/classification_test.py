"""Classification: labels as ids, metrics, answers and baselines."""
import dataclasses

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax.tasks.baselines.linear import logistic
from lmjax.tasks import classification
from lmjax.tasks.readers.texts import in_memory
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks import rows as rows_lib
from lmjax.tasks import task
from lmjax.training import stopping

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


def test_training_rows_have_the_weights_of_their_class():
  examples = [task.Example('x', label, '') for label in 'abb']
  value, splits, _ = built(examples)
  value = dataclasses.replace(value, weights=('b=3',))
  splits = dataclasses.replace(splits, train=examples)
  (_, batch), = value.rows(examples[:2], splits, BYTES).once()
  assert batch['weights'].tolist() == [1, 3, 0]  # The last row is padding.
  (_, batch), = value.rows(  # As in prediction, which has no training split.
      examples[:2], dataclasses.replace(splits, train=()), BYTES).once()
  assert batch['weights'].tolist() == [1, 1, 0]


@pytest.mark.parametrize('changes, words', [
    (dict(weights=('c=2',)), "task.weights has 'c'"),
    (dict(metrics=classification.Metrics(f1=('c',))), "task.metrics.f1 has 'c'"),
])
def test_names_of_no_class_are_refused_when_examples_are_read(changes, words):
  reader = in_memory.InMemory((('x', 'a'), ('y', 'b')))
  value = classification.Classification(source=labelled.Labelled(
      reader, reader, reader, drop_shared=False), **changes)
  with pytest.raises(errors.InputError, match=words):
    value.read()


def test_stopping_on_macro_f1_prefers_a_model_that_says_both_classes():
  examples = [task.Example('x', 'ab'[i >= 69], '') for i in range(100)]
  value, splits, rows = built(examples)
  commonest = [np.array([1.0, 0.0])] * 100  # 69% right.
  both = [np.eye(2)[int(i % 3 == 0 or i >= 69)] for i in range(100)]
  for metric in 'macro_f1', 'matthews', 'auc', 'average_precision':
    rule = stopping.EarlyStopping(f'valid/{metric}', higher_is_better=True)
    scores = [rule.score({f'valid/{name}': found.value for name, found in (
        value.judge(outputs, examples, rows, splits).metrics.items())})
              for outputs in (commonest, both)]
    assert scores[1] < scores[0], metric


def stacked(**options):
  """Returns a stack, and splits that it has read."""
  texts = [('good film', 'p'), ('a good one', 'p'), ('bad film', 'n'),
           ('a bad one', 'n')]
  value = classification.Classification(
      source=labelled.Labelled(
          train=in_memory.InMemory(tuple(texts * 2)),
          valid=in_memory.InMemory((('good', 'p'), ('so bad', 'n'))),
          test=in_memory.InMemory((('it is good', 'p'), ('bad!', 'n')))),
      features=rows_lib.Features(lengths=(8, 16), batch_size=2),
      stack=True, **options)
  return value, value.read()


def test_a_stack_weighs_the_model_and_the_linear_baseline():
  value, splits = stacked()
  wrong = [np.array([2.0, -2.0]), np.array([-2.0, 2.0])]  # Says n, then p.
  rows = value.rows(splits.test, splits, BYTES)
  alone = value.judge(wrong, splits.test, rows, splits)
  assert alone.accuracy == 0 and not alone.parts
  settled = value.settled(
      lambda: wrong, value.rows(splits.valid, splits, BYTES), splits)
  model, linear = settled.thresholds
  assert model < 0.2 < linear
  result = value.judge(wrong, splits.test, rows, settled)
  assert result.accuracy == 1
  assert [part.accuracy for part in result.parts.values()] == [0, 1]
  heads, lines = result.tables()['Alone']
  assert heads[:3] == ('classifier', 'loss', 'accuracy')
  assert lines[1][0] == f'linear, weight {linear:.2f}'
  assert lines[1][2] == '1.000'
  assert result.to_dict()['alone'][lines[0][0]]['accuracy'] == 0
  said = [answer['predicted'] for answer in value.answers(
      wrong, splits.test, rows, settled)]
  assert said == ['p', 'n']


def test_a_stack_fits_the_linear_baseline_once(monkeypatch):
  value, splits = stacked()
  monkeypatch.setattr(logistic.Logistic, 'fit', None)
  rows = value.rows(splits.test, splits, BYTES)
  assert value.baselines(splits, rows)['linear'].accuracy == 1


def test_a_stack_without_its_linear_baseline_is_refused():
  value, splits = stacked()
  splits = dataclasses.replace(splits, thresholds=(0.5, 0.5))
  rows = value.rows(splits.test, splits, BYTES)
  for fitted in ({}, splits.fitted | {'bias': np.zeros(3)}):
    lacking = dataclasses.replace(splits, fitted=fitted)
    with pytest.raises(errors.InputError, match='task.stack needs .*fitted.npz'):
      value.judge([np.zeros(2)] * 2, splits.test, rows, lacking)
