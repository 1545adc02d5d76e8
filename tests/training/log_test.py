"""Rows are made from what the device sends, one interval late."""
import types

import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import metrics
from lmjax.training import log
from lmjax.training import parallel
from lmjax.training import stopping


class Meter:
  """Remembers the tokens it was asked to divide by time."""

  def __init__(self):
    self.reads = []

  def start(self):
    self.reads.append('start')

  def read(self, tokens):
    self.reads.append(tokens)
    return {'tokens_per_s': 1.0}


@pytest.fixture
def made():
  progress, meter = stopping.Progress(tokens=100.0), Meter()
  out = log.Log(parallel.Jit(), meter, progress, (),
                learning_rate=lambda step: 0.5 * step)
  return types.SimpleNamespace(log=out, progress=progress, meter=meter)


def row(loss, tokens=10.0, norm=1.0):
  one = jnp.float32
  return {'loss': metrics.Mean(one(loss * tokens), one(tokens)),
          'grad_norm': metrics.Mean(one(norm), one(1)),
          'tokens': metrics.Mean(one(tokens), one(1))}


def test_a_row_waits_for_the_next_flush(made):
  made.log.add(1, row(4.0))
  made.log.add(2, row(1.0, tokens=30.0))
  made.log.flush()
  assert not made.log.rows
  made.log.cut()
  made.log.add(3, row(9.0))
  made.log.flush()
  made.log.flush()
  only, = made.log.rows
  assert only == {'step': 2, 'loss': 1.75, 'grad_norm': 1.0, 'tokens': 140.0,
                  'tokens_per_s': 1.0, 'learning_rate': 0.5}
  assert made.progress.tokens == 140.0


def test_the_step_that_compiles_sets_no_rate(made):
  made.log.add(1, row(4.0))
  made.log.cut()
  made.log.flush()
  assert 'tokens_per_s' not in made.log.rows[0]
  made.log.add(2, row(4.0))
  made.log.cut()
  made.log.flush()
  assert made.meter.reads == ['start', 10.0]


@pytest.mark.parametrize('bad, words', [
    (dict(loss=np.nan), 'At step 2 the loss is nan'),
    (dict(loss=1.0, norm=np.inf), 'At step 2 .* norm inf')])
def test_the_first_bad_step_is_named_and_the_row_kept(made, bad, words):
  for step, values in enumerate([dict(loss=1.0), bad, bad], 1):
    made.log.add(step, row(**values))
  made.log.cut()
  with pytest.raises(log.NonFiniteLoss, match=words):
    made.log.flush()
  assert len(made.log.rows) == 1


def test_padding_alone_is_no_fault(made):
  made.log.add(1, row(0.0, tokens=0.0))
  made.log.cut()
  made.log.flush()
  assert np.isnan(made.log.rows[0]['loss'])
