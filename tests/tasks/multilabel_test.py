"""Texts with several labels: reading, rows, thresholds, answers."""
import dataclasses
import json

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.models import bag_of_ngrams
from lmjax.recipes import finetuning
from lmjax.recipes.loaded import tuned
from lmjax.tasks import multilabel
from lmjax.tasks.readers.texts import in_memory
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks import rows as rows_lib
from lmjax.tasks import task
from lmjax.training import options

BYTES = symbols.Bytes().build()
# The labels of a text are its letters; 'none' if it has neither.
PAIRS = tuple((f'{"a" * (i % 2)}{"b" * (i % 3 == 0)} {i}',
               '|'.join('a' * (i % 2) + 'b' * (i % 3 == 0)) or 'none')
              for i in range(60))


def made(train=PAIRS, test=PAIRS, **changes):
  read = in_memory.InMemory
  return multilabel.Multilabel(
      labelled.Labelled(read(train), read(test), read(test), drop_shared=False),
      features=rows_lib.Features(lengths=(8,), batch_size=16), **changes)


def test_labels_are_those_of_training_and_a_note_counts_them():
  splits = made().read()
  assert splits.labels == ('a', 'b')
  assert splits.notes[0] == (
      'labels: a (30), b (20); 0.83 a text on average.')


def test_rows_have_a_one_for_each_label():
  value = made()
  splits = value.read()
  examples = [task.Example('x', label, 'f:1') for label in (
      'b', 'none', None, ' b | a|a')]
  rows = value.rows(examples, splits, BYTES)
  (_, batch), = rows.once()
  assert batch['labels'].shape == (16, 2)
  assert batch['labels'][:5].tolist() == [
      [0, 1], [0, 0], [0, 0], [1, 1], [0, 0]]
  assert batch['weights'].sum() == 4


@pytest.mark.parametrize('train, test, words', [
    (PAIRS, (('x', 'a|c'),), "label 'c' of the valid split never occurs"),
    ((('x', 'a||b'),), PAIRS, "'a||b' have an empty one"),
    ((('x', 'none'),), PAIRS, "All training examples have the label 'none'")])
def test_bad_labels_are_refused(train, test, words):
  with pytest.raises(errors.InputError) as caught:
    made(train, test).read()
  assert words in str(caught.value)


def test_an_unknown_label_is_refused_with_its_place():
  value = made()
  with pytest.raises(errors.InputError, match="f:3 has 'aa', which is not one"):
    value.rows([task.Example('x', 'aa', 'f:3')], value.read(), BYTES)


@pytest.mark.parametrize('given, expected', [(None, 0.3), (0.6, 0.6)])
def test_the_threshold_is_chosen_on_validation_unless_it_is_given(
    given, expected):
  value = made(threshold=given)
  splits = value.read()
  rows = value.rows(splits.valid, splits, BYTES)
  p = np.where(rows.by_row['labels'], 0.32, 0.28)
  outputs = list(np.log(p) - np.log1p(-p))
  settled = value.settled(lambda: outputs, rows, splits)
  assert settled.thresholds == (() if given else (0.3,))
  result = value.judge(outputs, splits.valid, rows, settled)
  assert result.threshold == expected
  assert result.metrics['exact'].value == (10 / 60 + 10 / 60 if given else 1)
  answer, = value.answers(outputs[1:2], splits.valid[1:2], rows, settled)
  assert answer['predicted'] == ([] if given else ['a'])
  assert answer['probabilities'] == {'a': 0.32, 'b': 0.28}


def test_baselines_judge_each_label_by_itself():
  value = made()
  splits = value.read()
  found = value.baselines(splits, value.rows(splits.test, splits, BYTES))
  assert not found['majority'].said_NC[:, 1].any()
  assert found['naive Bayes'].metrics['micro_f1'].value > 0.9
  with pytest.raises(errors.InputError, match="Did you mean 'linear'"):
    multilabel.Metrics(('liner',))


def test_an_empty_separator_is_refused():
  with pytest.raises(errors.InputError, match='task.separator'):
    made(separator='')


@pytest.mark.slow  # Compiles a step of training.
def test_a_run_predicts_sets_of_labels(tmp_path):
  config = experiment.Finetune(
      task=dataclasses.replace(made(), metrics=multilabel.Metrics(())),
      tokenizer=symbols.Bytes(),
      model=bag_of_ngrams.BagOfNgramsConfig(context=8, width=8, buckets=64),
      training=options.Training(steps=2, log_every=1))
  results = finetuning.finetune(config, str(tmp_path / 'run'))
  report = json.loads((tmp_path / 'run/report.json').read_text())
  assert report['results']['model'] == results['model'].to_dict()
  run = tuned.load(tmp_path / 'run')
  assert run.splits.thresholds == (results['model'].threshold,)
  answer = run.predict('ab 1')
  assert set(answer['probabilities']) == {'a', 'b'}
  assert isinstance(answer['predicted'], list)
