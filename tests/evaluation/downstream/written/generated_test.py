"""Results of texts: one table of scores, and the best and worst texts."""
import pytest

from lmjax.core import errors
from lmjax.evaluation.downstream.written import generated

pytest.importorskip('sacrebleu')
WRITTEN = (
    generated.Written('eins zwei', 'one two', ('one two', '1 2'), True),
    generated.Written('drei', 'no no no', ('three',), False))


def result(names=('bleu', 'chrf', 'rouge', 'exact'), written=WRITTEN):
  return generated.Generated(
      generated.Scores(names), written, generated.per_token([2, 6], [1, 3]))


def test_scores_are_in_points_beside_the_form_of_the_texts():
  found = result()
  values = {name: each.value for name, each in found.metrics.items()}
  assert list(values)[:3] == ['loss', 'bleu', 'chrf']
  assert values['loss'] == 2 and values['exact'] == values['rougeL'] == 50
  assert values['form/length_ratio'] == 5 / 3
  assert values['form/unfinished'] == values['form/repeating'] == 0.5
  assert found.to_dict()['signatures']['bleu'].startswith('nrefs:var')


def test_the_worst_and_the_best_texts_are_shown():
  tables = result(('chrf',)).tables()
  heads, rows = tables['Worst texts']
  assert heads == ('chrF', 'source', 'written', 'reference')
  assert rows[0][1:] == ('drei', 'no no no', 'three')
  assert tables['Best texts'][1][0] == (
      '100.0', 'eins zwei', 'one two', 'one two')
  assert tables['Signatures of sacrebleu'][1][0][0] == 'chrf'


def test_without_texts_there_is_the_loss_alone():
  found = result(written=())
  assert list(found.metrics) == ['loss'] and found.tables() == {}
  assert found.to_dict()['signatures'] == {}


def test_an_unknown_score_is_refused():
  with pytest.raises(errors.InputError, match="'blue'; choose from.*'bleu'"):
    generated.Scores(('blue',))


def test_states_of_dialogues_are_scored():
  values = {name: found.value for name, found in result(
      ('state',), (generated.Written('s', 'a = 1', ('A = 1 => Yes.',)),
                   generated.Written('s', 'b = 1', ('b = 2',)))
  ).metrics.items()}
  assert values['joint_goal'] == values['slot_f1'] == 50
