"""Judging a model on the examples of a task, and what the run's digest covers.
"""
import dataclasses
import math
import types

from lmjax.core import errors
from lmjax.evaluation import estimates
from lmjax.recipes import finetuning
from lmjax.tasks.readers.texts import in_memory
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks import task
from lmjax.training import stopping
import pytest

SPLITS = labelled.Labelled(
    *[in_memory.InMemory((('good', '1'), ('bad', '0')))] * 3,
    drop_shared=False).read()


class Mood:
  """A task whose loss is the sum of the outputs, and whose F1 is unknown."""

  def judge(self, outputs, examples, rows, splits):
    assert (len(examples), rows, splits) == (2, 'rows', SPLITS)
    return types.SimpleNamespace(metrics={
        'loss': estimates.Estimate(float(sum(outputs))),
        'f1': estimates.Estimate(None)})


JUDGE = finetuning._Judge(Mood(), SPLITS, dict.fromkeys(task.SPLITS, 'rows'),
                          lambda params, rows: [params, params])


def test_an_unknown_metric_is_nan_in_training():
  found = JUDGE.evaluate(1.5, 7)
  assert found['valid/loss'] == 3.0 and math.isnan(found['valid/f1'])


def test_a_rehearsal_finds_a_metric_that_the_task_lacks():
  JUDGE.rehearse(1.0, lambda params, rows: [0, 0], stopping.EarlyStopping())
  with pytest.raises(errors.InputError, match="Did you mean 'valid/f1'"):
    JUDGE.rehearse(1.0, lambda params, rows: [0, 0],
                   stopping.EarlyStopping(metric='valid/f'))


def test_thresholds_are_chosen_on_the_validation_split_once():
  class Choosy(Mood):
    def settled(self, outputs, rows, splits):
      assert (rows, splits) == ('valid rows', SPLITS)
      return dataclasses.replace(splits, thresholds=tuple(outputs()))
  judge = dataclasses.replace(
      JUDGE, task=Choosy(),
      rows={name: f'{name} rows' for name in task.SPLITS})
  assert judge.settled(0.5).splits.thresholds == (0.5, 0.5)


def test_the_digest_knows_texts_labels_and_splits():
  digests = {SPLITS.digest()}
  for change in ({'train': SPLITS.valid[:1]},
                 {'valid': SPLITS.train + SPLITS.valid},
                 {'test': [task.Example('good', '0', ''), SPLITS.test[1]]}):
    digests.add(dataclasses.replace(SPLITS, **change).digest())
  moved = [e._replace(where='elsewhere') for e in SPLITS.train]
  same = dataclasses.replace(SPLITS, train=moved).digest()
  assert len(digests) == 4 and same in digests
