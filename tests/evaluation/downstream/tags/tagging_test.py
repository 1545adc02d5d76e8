"""Entity scores against counts by hand, and the jackknife against loops."""
import json
import math

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation.downstream.tags import tagging

NAMES = ('O', 'B-loc', 'I-loc', 'B-per', 'I-per')
TRUE = [
    'B-per I-per O B-loc', 'O B-loc I-loc', 'O O', 'B-per O', 'B-per I-per']
FOUND = [
    # Right, and a location of one word in two.
    'B-per I-per O B-loc', 'O B-loc B-loc', 'B-per O',
    # Right though it begins with an I, if one is lenient; the wrong type.
    'I-per O', 'B-loc I-loc']
# type: there, found, right. Lenient: per 3, 3, 2; loc 2, 4, 1.


def result(**options):
  split = lambda sentences: [s.split() for s in sentences]
  return tagging.Tagging.of(split(TRUE), split(FOUND), NAMES, **options)


def test_counts_by_hand():
  found = result()
  assert found.types == ('loc', 'per')
  assert found.lenient_NK3.sum(axis=0).tolist() == [[2, 4, 1], [3, 3, 2]]
  assert found.strict_NK3.sum(axis=0).tolist() == [[2, 4, 1], [3, 2, 1]]
  values = {name: e.value for name, e in found.metrics.items()}
  assert values == {
      'f1': pytest.approx(2 * 3 / 12), 'precision': pytest.approx(3 / 7),
      'recall': pytest.approx(3 / 5), 'strict_f1': pytest.approx(2 * 2 / 11),
      'accuracy': pytest.approx(8 / 13)}


def test_types_by_hand():
  tree = json.loads(json.dumps(result().to_dict()))
  loc, per = tree['types']
  assert (loc['name'], loc['entities'], loc['found'], loc['right']) == (
      'loc', 2, 4, 1)
  assert (loc['precision'], loc['recall']) == (1 / 4, 1 / 2)
  assert loc['f1'] == pytest.approx(2 / 6)
  assert per['f1'] == pytest.approx(4 / 6)
  assert per['strict_f1'] == pytest.approx(2 / 5)
  assert [kind['boundary'] for kind in tree['errors']] == [1, 0]
  assert result(texts=[s.split() for s in TRUE]).tables().keys() == {
      'Entities, right and wrong', 'Types taken for others',
      'Words most often wrong'}
  assert tree['words'] == 13 and tree['examples'] == 5
  assert np.sum(tree['confusion']) == 13 and tree['tags'] == list(NAMES)


def test_standard_errors_are_the_jackknifes_over_sentences():
  found = result()
  without = []
  for i in range(5):
    rest = [j for j in range(5) if j != i]
    without.append(tagging.Tagging.of(
        [TRUE[j].split() for j in rest], [FOUND[j].split() for j in rest],
        NAMES).metrics)
  for name, estimate in found.metrics.items():
    values = np.array([metrics[name].value for metrics in without])
    expected = math.sqrt(4 / 5 * np.square(values - values.mean()).sum())
    assert estimate.stderr == pytest.approx(expected), name


def test_nothing_found_is_zero_and_not_undefined():
  found = tagging.Tagging.of([['B-x', 'O']], [['O', 'O']], ('O', 'B-x'))
  assert [found.metrics[name].value for name in (
      'precision', 'recall', 'f1')] == [0, 0, 0]


def test_the_loss_is_a_mean_over_words():
  nll, scored = [1.0, 2.0, 0.0, 0.5, 0.0], [4, 3, 2, 1, 0]
  assert result(nll=nll, scored=scored).metrics['loss'].value == (
      pytest.approx(3.5 / 10))
  assert result(nll=[0.0] * 5, scored=[0] * 5).metrics['loss'].value is None


def test_tags_without_a_name_are_counted():
  found = tagging.Tagging.of(
      [['B-new', 'B-x']], [['O', 'B-x']], ('O', 'B-x'))
  assert found.types == ('x', 'new')
  assert found.words.names == ('O', 'B-x', 'B-new')
  assert found.metrics['recall'].value == 1 / 2


def test_the_picture_is_drawn(tmp_path):
  draw = result().pictures()['Confusion']
  draw(tmp_path / 'confusion.png', 'run')
  assert (tmp_path / 'confusion.png').stat().st_size > 5000


@pytest.mark.parametrize('true, found', [
    ([['O']], [['O', 'O']]), ([['O']], []), ([], [])])
def test_sentences_of_other_lengths_are_refused(true, found):
  with pytest.raises(errors.InputError, match='as many predicted tags'):
    tagging.Tagging.of(true, found, ('O',))


# Type: true, predicted and correct phrases; precision, recall and F1 in percent
# of the example output of conlleval (clips.uantwerpen.be/conll2000/chunking).
PUBLISHED = {
    'ADJP': (6, 1, 0, 0.00, 0.00, 0.00), 'ADVP': (8, 11, 5, 45.45, 62.50, 52.63),
    'NP': (262, 317, 206, 64.98, 78.63, 71.16),
    'PP': (90, 107, 89, 83.18, 98.89, 90.36),
    'SBAR': (6, 3, 2, 66.67, 33.33, 44.44),
    'VP': (87, 100, 69, 69.00, 79.31, 73.80)}


def test_rates_are_those_that_conlleval_printed():
  pairs = [pair for kind, (true, found, right, *_) in PUBLISHED.items()
           for pair in [(f'B-{kind}', f'B-{kind}')] * right
           + [(f'B-{kind}', 'O')] * (true - right)
           + [('O', f'B-{kind}')] * (found - right)]
  tree = tagging.Tagging.of(
      *([[tag] for tag in tags] for tags in zip(*pairs)), ('O',)).to_dict()
  percent = lambda scores: [
      round(100 * scores[name], 2) for name in ('precision', 'recall', 'f1')]
  assert percent(tree) == [68.83, 80.83, 74.35]
  assert {kind['name']: percent(kind) for kind in tree['types']} == {
      name: list(numbers[3:]) for name, numbers in PUBLISHED.items()}
