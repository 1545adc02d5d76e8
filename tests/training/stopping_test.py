"""Early stopping by patience."""
import math

import pytest

from lmjax.core import errors
from lmjax.training import stopping


def test_ends_after_patience_without_improvement():
  rule = stopping.EarlyStopping(patience=2, min_delta=0.1)
  progress = stopping.Progress()
  ended = []
  for step, loss in enumerate([3.0, 2.0, 1.95, 1.8, 1.75, 1.74]):
    progress.update(step, rule.score({'valid/loss': loss}), rule)
    ended.append(progress.exhausted(rule))
  assert ended == [False] * 5 + [True]
  assert progress.best_step == 3 and progress.best == 1.8


def test_without_patience_only_the_best_step_is_tracked():
  rule = stopping.EarlyStopping('accuracy', higher_is_better=True)
  progress = stopping.Progress()
  for step, accuracy in enumerate([0.5, 0.9, math.nan, 0.7]):
    progress.update(step, rule.score({'accuracy': accuracy}), rule)
  assert progress.best_step == 1 and not progress.exhausted(rule)


def test_unknown_metric_names_the_nearest():
  with pytest.raises(errors.InputError, match="'valid/los'.*'valid/loss'"):
    stopping.EarlyStopping('valid/los').score({'valid/loss': 1.0})
