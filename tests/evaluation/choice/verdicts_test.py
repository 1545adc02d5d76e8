"""Verdicts on questions, against sums of probabilities."""
import numpy as np
import pytest

from lmjax.evaluation.choice import questions
from lmjax.evaluation.choice import rules as choice_rules
from lmjax.evaluation.choice import verdicts
from lmjax.evaluation.choice import wording

ITEM = questions.Item(('Q', 'Q'), ('a', 'bbb'), 1, 'f:1')
SHARED = choice_rules.RULES['shared']


def _of(*losses, forms=(wording.Form(ITEM),)):
  return verdicts.of(SHARED, forms, iter(map(np.array, losses)))


def test_one_form_is_judged_by_its_losses():
  found = _of([1.0, 2.0])
  assert found == verdicts.Verdict(0.0, 1.0, None, None, 2.0, False)
  assert verdicts.column([found], 'credit').tolist() == [0.0]
  assert verdicts.column([found], 'changed') is None


def test_probability_without_content_is_divided_out():
  form = wording.Form(ITEM, (ITEM, ITEM))
  for empty in ([0.9, 0.1], [0.3, 0.1]), ([0.1, 0.9], [0.2, 0.2]):
    p = np.array([0.6, 0.3])
    right = np.argmax(p / np.mean(empty, axis=0)) == 1
    found = _of(-np.log(p), *-np.log(empty), forms=[form])
    assert found.credit == 0 and found.credit_calibrated == right
  assert not right  # Both happen.


def test_forms_are_averaged_as_probabilities():
  forms = [wording.Form(ITEM)] * 2
  found = _of(-np.log([0.6, 0.3]), -np.log([0.01, 0.03]), forms=forms)
  # 2/3 and 1/4 for the first option, so it has less than a half on average.
  assert (found.credit, found.changed) == (1.0, 1.0)
  assert found.nats == pytest.approx(-np.log([0.3, 0.03]).mean())
  assert _of([1.0, 2.0], [0.0, 3.0], forms=forms).changed == 0.0


def test_a_loss_that_is_not_finite_earns_nothing():
  assert _of([np.nan, 1.0])[:2] == (0.0, 0.0)
  form = wording.Form(ITEM, (ITEM,))
  found = _of([2.0, 1.0], [np.inf, 1.0], forms=[form])
  assert found.credit == 1 and found.credit_calibrated == 0
  assert found.nonfinite
