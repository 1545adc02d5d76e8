"""Matches of answers, with values worked out by hand from the definitions."""
import pytest

from lmjax.core import errors
from lmjax.evaluation.downstream import matching

SQUAD, CMRC = matching.MATCHES['squad'], matching.MATCHES['cmrc']


@pytest.mark.parametrize('text, normal', [
    ('The  Normans', 'normans'), ('an U.S.-based A', 'usbased'),
    ('“a” quote', '“ ” quote'),  # Only ASCII punctuation is removed.
    ('theatre, another', 'theatre another'), ('the, a.', ''),
    ('$5.00\tÉcole', '500 école'), ('a-the', 'athe')])
def test_squad_compares_without_case_marks_and_articles(text, normal):
  assert SQUAD.normal(text) == normal


@pytest.mark.parametrize('answers, predicted, em, f1', [
    (['Denver Broncos'], 'the denver broncos!', 1, 1),
    (['Denver Broncos'], 'Broncos', 0, 2 / 3),  # 1 of 1 and of 2 words.
    (['to to be'], 'to be be', 0, 2 / 3),  # Shared: one "to", one "be".
    (['a b c d', 'c d'], 'c d e', 0, 0.8),  # The best answer counts.
    (['x'], '', 0, 0), (['x'], 'the', 0, 0), ([], '', 1, 1), ([], 'x', 0, 0),
    ([], 'the', 1, 1),  # Nothing is left of it.
    (['the', 'x'], 'x', 1, 1), (['the', 'x'], '', 0, 0), (['the'], '', 1, 1)])
def test_squad_scores_the_best_answer(answers, predicted, em, f1):
  assert matching.score(SQUAD, answers, predicted) == (em, pytest.approx(f1))


@pytest.mark.parametrize('answers, predicted, em, f1', [
    (['《红楼梦》'], '红楼梦', 1, 1),
    (['红楼梦'], '红楼', 0, 0.8),  # 2 of 2 and of 3 characters.
    (['一二三四'], '四三二一', 0, 0.25),  # Runs of one character.
    (['一二三四'], '一二四', 0, 4 / 7),  # The longest run is 一二.
    (['1998年5月'], '1998 年', 0, 2 / 3),  # [1998 年] of [1998 年 5 月].
    (['Windows 系统'], 'windows系统', 0, 1),  # EM keeps the space.
    (['红'], '', 0, 0), ([], '', 1, 1), (['红', '楼'], '楼', 1, 1)])
def test_cmrc_scores_the_longest_run(answers, predicted, em, f1):
  assert matching.score(CMRC, answers, predicted) == (em, pytest.approx(f1))


def test_unknown_rules_are_refused():
  assert matching.named('cmrc') is CMRC
  with pytest.raises(errors.InputError, match="choose from .'cmrc', 'squad'"):
    matching.named('trec')
