"""A run's outcome is read from its files, and its units are those it scored."""
import dataclasses

import numpy as np
import pytest

from lmjax.core import errors
from lmjax import experiment
from lmjax.objectives.encoders import contrastive
from lmjax.recipes.comparing import outcome


def test_a_pretrained_run_is_read(pretrained):
  found = outcome.read(pretrained('a', nats=2.0))
  assert not found.tuned and found.kind == 'exact'
  assert found.report.name == 'model'
  assert found.scores.nats.sum() == pytest.approx(found.report.nats)
  assert found.facts == {'tokens': 1000, 'seconds': 62.0, 'parameters': 123456}


def test_the_report_may_be_in_a_folder_below(pretrained):
  run = pretrained('a')
  evaluation = pretrained('a/evaluation', nats=1.0)
  (evaluation / 'config.json').unlink()
  assert outcome.read(run, 'evaluation').report.nats < outcome.read(
      run).report.nats


def test_a_run_without_losses_of_documents_is_read(pretrained):
  run = pretrained('a')
  (run / 'held_out.jsonl').unlink()
  assert outcome.read(run).scores is None


def test_a_model_without_likelihood_has_no_report(pretrained):
  config = dataclasses.replace(
      experiment.Pretrain(), objective=contrastive.SimCSE())
  found = outcome.read(pretrained('a', config=config))
  assert (found.kind, found.report) == ('none', None)


def test_a_run_that_has_not_ended_is_refused(pretrained, tmp_path):
  run = pretrained('a')
  (run / 'report.json').unlink()
  with pytest.raises(errors.InputError, match='the run has not ended'):
    outcome.read(run)
  with pytest.raises(errors.InputError, match='is not a run directory'):
    outcome.read(tmp_path / 'nowhere')
  (run / 'report.json').write_text('[1]')
  with pytest.raises(errors.InputError, match='should hold a JSON object'):
    outcome.read(run)


def test_names_are_short_unless_they_repeat(pretrained):
  runs = [outcome.read(pretrained(name)) for name in ('a', 'b', 'x/a')]
  assert outcome.titles(runs[:2]) == ['a', 'b']
  assert outcome.titles([runs[0], runs[2]])[1].endswith('x/a')


def test_documents_are_weighed_by_the_unit_of_the_metric(pretrained):
  run = outcome.read(pretrained('a', per_byte=2))
  tokens, bytes_ = (outcome.documents(run, metric)
                    for metric in ('nats/token', 'bits/byte'))
  assert tokens.scores.sum() / tokens.weights.sum() == pytest.approx(
      run.report.nats_per_token)
  assert bytes_.scores.sum() / bytes_.weights.sum() == pytest.approx(
      run.report.bits_per_byte)


@pytest.mark.parametrize('answer, metric, score, weight', [
    ({'text': 'x', 'label': 'a', 'predicted': 'a'}, 'accuracy', 1, 1),
    ({'text': 'x', 'label': 'a', 'predicted': 'b'}, 'accuracy', 0, 1),
    ({'text': 'x', 'label': 2.0, 'predicted': 0.5}, 'squared error', 2.25, 1),
    ({'words': ['x', 'y', 'z'], 'tags': ['O', 'B', 'O'],
      'predicted': ['O', 'O', 'O']}, 'accuracy of tags', 2, 3),
])
def test_answers_are_scored_by_their_form(tuned, answer, metric, score, weight):
  units, = outcome.examples(outcome.read(tuned('a', [answer]))).values()
  assert units.metric == metric
  assert (units.scores.tolist(), units.weights.tolist()) == ([score], [weight])
  assert units.higher_is_better == metric.startswith('accuracy')


def test_answers_of_tasks_together_are_apart(tuned):
  found = outcome.examples(outcome.read(tuned('a', [
      {'task': '0', 'text': 'x', 'label': 'a', 'predicted': 'a'},
      {'task': '1', 'text': 'x', 'label': 1, 'predicted': 2},
      {'task': '2', 'text': 'x', 'predicted': {'odd': 1}}])))
  assert {task: units.metric for task, units in found.items()} == {
      '0': 'accuracy', '1': 'squared error'}
  np.testing.assert_array_equal(found['1'].scores, [1])


def test_metrics_of_a_tuned_run_are_those_with_an_error(tuned):
  found = outcome.read(tuned('a', []))
  assert found.tuned and set(found.metrics) == {'accuracy'}
  assert found.metrics['accuracy'].stderr == 0.1
