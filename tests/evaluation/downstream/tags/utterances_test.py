"""Scores of utterances by hand."""
import json

import numpy as np
import pytest

from lmjax.evaluation.downstream import classification
from lmjax.evaluation.downstream.tags import tagging
from lmjax.evaluation.downstream.tags import utterances
from lmjax.evaluation import estimates

TRUE, FOUND = [['B-x', 'O'], ['O'], ['B-x']], [['B-x', 'O'], ['O'], ['O']]


def result():
  return utterances.Utterances(
      classification.Classification.of([0, 1, 1], [0, 0, 1], ('a', 'b')),
      tagging.Tagging.of(TRUE, FOUND, ('O', 'B-x')),
      np.array([True, False, True]), estimates.mean([1.0, 2.0, 6.0]))


def test_numbers_by_hand():
  metrics = {name: e.value for name, e in result().metrics.items()}
  assert metrics == pytest.approx({
      'intent_accuracy': 2 / 3, 'sentence_accuracy': 1 / 3, 'f1': 2 / 3,
      'precision': 1, 'recall': 1 / 2, 'strict_f1': 2 / 3,
      'tag_accuracy': 3 / 4, 'loss': 3})
  tree = json.loads(json.dumps(result().to_dict()))
  assert tree['examples'] == 3 and tree['sentence_accuracy'] == 1 / 3
  assert tree['intents']['accuracy'] == 2 / 3
  assert tree['slots']['types'][0]['name'] == 'x'


def test_both_pictures_are_drawn(tmp_path):
  pictures = result().pictures()
  assert pictures.keys() == {'Intents', 'Tags'}
  for name, draw in pictures.items():
    draw(tmp_path / name, 'run')
    assert (tmp_path / name).stat().st_size > 5000
