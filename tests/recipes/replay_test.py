"""A replayed step has the same batch and the same metrics, bit for bit."""
import dataclasses
import io
import re
import shutil

import numpy as np
import pytest
import rich.console

from lmjax.core import digests
from lmjax.core import errors
from lmjax.core import metrics
from lmjax.data import packing
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.models.presets import decoders
from lmjax.recipes import prepared
from lmjax.recipes import replay
from lmjax.recipes import targets
from lmjax.run import directory
from lmjax.run import launch
from lmjax.run import rollback
from lmjax.training import log
from lmjax.training.optimizers import sgd
from lmjax.training import options

TEXTS = tuple(f'{i} says \x1b[2J é{i * i}' for i in range(40))
MODEL = decoders.gpt2(8, 1, 2, vocab_size=None, context=24)
CONFIG = experiment.Pretrain(
    data=pipeline.DataConfig(
        source=sources.InMemory(TEXTS), tokenizer=symbols.Bytes(),
        packing=packing.Packed(), batch_size=4),
    model=dataclasses.replace(
        MODEL, block=dataclasses.replace(MODEL.block, dropout=0.5)),
    optimizer=sgd.SGD(learning_rate=0.01),
    training=options.Training(
        steps=6, log_every=1, save_every=2, keep_last=9))
RARELY = dataclasses.replace(CONFIG, training=dataclasses.replace(
    CONFIG.training, log_every=10))


def _train(config, workdir):
  """Trains as the script does; returns the batches that were seen."""
  seen = {}
  with launch.Launch().started(str(workdir), config) as started:
    parts = prepared.prepare(config, workdir)
    run = started.open_run(parts.data.hashes())
    parts.tokenizer.save(run.tokenizer)

    def batches(index):
      seen[index] = parts.batches(index)
      return seen[index]

    started.fit(
        run, parts.initial_state(), batches, parts.batches.fingerprint,
        objective=parts.objective, optimizer=parts.optimizer)
  return seen


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  """A run, taken back to step 2; from there its rows end where it saves."""
  workdir = tmp_path_factory.mktemp('run')
  seen = _train(CONFIG, workdir)
  rollback.rollback(workdir, 2, skip_batches=3)
  return workdir, seen | _train(RARELY, workdir)


def _again(workdir, step, config=RARELY):
  file = io.StringIO()
  console = rich.console.Console(file=file, width=120, force_terminal=True)
  found = replay.replay(config, str(workdir), step, console)
  return found, file.getvalue()


def _files(workdir):
  return {path: (path.stat().st_mtime_ns, path.read_bytes())
          for path in workdir.rglob('*') if path.is_file()}


@pytest.mark.slow
def test_a_step_is_repeated_to_the_bit(made):
  workdir, seen = made
  before = _files(workdir)
  found, text = _again(workdir, 2, None)  # With the directory's own config.
  assert _files(workdir) == before  # Nothing was written.
  assert (found.step, found.index, found.start) == (2, 1, 0)
  assert 'initial parameters' in text
  assert found.digest == digests.batch(seen[1])
  assert found.logged['step'] == 2 and list(found.over) == [2]
  for name in ('loss', 'grad_norm'):
    assert found.values[name] == found.again[name] == found.logged[name]
  assert found.logged['batch'] == found.again['batch'] == found.digest
  assert text.count('same') == 3 and 'differ' not in text

  parts = prepared.prepare(CONFIG, workdir)
  assert found.documents == parts.batches.documents(1)
  assert '\x1b[32m' in text and '\x1b[31m' in text  # Green and red.
  assert '\x1b[2J' not in text and 'says [2J é' in text
  text = re.sub('\x1b\\[[0-9;]*m', '', text)
  for row, numbers in enumerate(found.documents):
    shown = targets.text_of(seen[1], row, parts.tokenizer).plain
    assert (f'row {row}, documents {", ".join(map(str, numbers))}\n'
            f'{shown}\n') in text


@pytest.mark.slow
def test_what_was_left_out_is_left_out_and_a_row_is_compared_whole(made):
  workdir, seen = made
  found, text = _again(workdir, 5)
  assert (found.index, found.start, list(found.over)) == (7, 4, [5, 6])
  assert found.digest == digests.batch(seen[7])
  for name in ('loss', 'grad_norm', 'batch'):
    assert found.again[name] == found.logged[name]
  assert found.again['loss'] != found.values['loss']
  assert '5 to 6' in text and text.count('same') == 3 and 'differ' not in text


def test_a_row_is_that_of_its_good_steps():
  def step(digest, loss, bad):
    return digest, {'loss': metrics.Mean(2 * loss, 2.0),
                    'skipped': metrics.Mean(float(bad), 1.0)}

  found = replay._row([step('a', 1.0, False), step('b', np.inf, True)])
  assert found['loss'] == 1 and found['batch'] == log.digest(['a', 'b'])
  assert np.isnan(replay._row([step('a', np.nan, True)])['loss'])
  assert replay._compared(np.nan, np.nan) == 'same'
  assert replay._compared(2.0, 2.5) == 'differs by 5.0e-01'
  assert replay._compared('a', 'b') == 'different'


@pytest.mark.slow
def test_a_damaged_checkpoint_is_reported_and_skipped(made, tmp_path):
  workdir = shutil.copytree(made[0], tmp_path / 'run')
  for path in (workdir / 'checkpoints/4').rglob('*'):
    if path.is_file() and path.stat().st_size > 100:
      path.write_bytes(path.read_bytes()[:-10])
  file = io.StringIO()
  start, state = replay._start(
      rich.console.Console(file=file), directory.RunDir(workdir),
      prepared.prepare(CONFIG, workdir), 5)
  assert start == state.step == 2 and 'damaged' in file.getvalue()


def test_a_step_that_was_not_reached_is_refused(made, tmp_path):
  workdir, _ = made
  for step in 0, 7:
    with pytest.raises(errors.InputError, match=f'no step {step}.* 1 to 6'):
      _again(workdir, step)
  with pytest.raises(errors.InputError, match='not a run directory'):
    _again(tmp_path, 1)
  directory.open_run(tmp_path / 'new', CONFIG)
  with pytest.raises(errors.InputError, match='not made a step yet'):
    _again(tmp_path / 'new', 1)
  with pytest.raises(errors.InputError, match='data.seed: 0 -> 1'):
    _again(workdir, 1, dataclasses.replace(
        CONFIG, data=dataclasses.replace(CONFIG.data, seed=1)))
