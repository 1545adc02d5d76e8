"""A rollback deletes nothing, and the run continues without bad batches."""
import json

import numpy as np
import pytest

from lmjax.checkpoints import store
from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core import metrics
from lmjax.run import directory
from lmjax.run import lock
from lmjax.run import rollback
from lmjax.run import skips as skips_lib
from lmjax.training import loop
from lmjax.training.optimizers import sgd
from lmjax.training import step as step_lib
from lmjax.training import writers


def _objective(params, batch, rng=None):
  error_B = params['x'] - batch['inputs'][:, 0]
  return {'loss': metrics.Mean.of(error_B**2, batch['weights'][:, 0])}


def _fit(workdir, steps):
  """Trains as a script does; returns the batches that were asked for."""
  run, seen = directory.RunDir(workdir), []
  workdir.mkdir(exist_ok=True)
  run.config.write_text('{}')
  skips = skips_lib.Skips.read(workdir)

  def batches(step):
    seen.append(skips.index(step))
    return {'inputs': np.full((8, 1), seen[-1], np.float32),
            'weights': np.ones((8, 1), np.float32)}

  params = {'x': np.zeros((1,), np.float32)}
  optimizer = sgd.SGD().build(params, steps)
  state = step_lib.init_state(params, optimizer, 0)
  with store.Checkpoints(run.checkpoints, keep_last=20) as saved:
    state, progress = saved.resume(state)
    with writers.opened(run.metrics, steps, int(state.step)) as sinks:
      loop.fit(state, batches, objective=_objective, optimizer=optimizer,
               steps=steps, checkpoints=saved, save_every=5, log_every=1,
               writers=sinks, progress=progress)
  return seen


def _steps(workdir):
  return [row['step'] for row in writers.read(workdir / 'metrics.jsonl')]


def _files(workdir):
  return {path.relative_to(workdir): path.read_bytes()
          for path in workdir.rglob('*') if path.is_file()}


@pytest.mark.slow
def test_a_run_continues_past_bad_batches_and_saves(tmp_path):
  workdir = tmp_path / 'run'
  assert _fit(workdir, 20) == list(range(20))
  events = [{'step': step} for step in (3, 12, 17)]
  (workdir / 'events.jsonl').write_text(
      ''.join(json.dumps(row) + '\n' for row in events) + '{"step": 1')
  before = _files(workdir)

  done = rollback.rollback(workdir, 10, skip_batches=4)
  assert done.moved == (15, 20) and done.batches == ((10, 14),)
  assert done.rows == 10 + 3  # The last of which is cut short.
  assert _steps(workdir) == list(range(1, 11))
  assert (workdir / 'events.jsonl').read_text() == '{"step": 3}\n'
  assert _steps(done.folder) == list(range(11, 21))
  here, aside = _files(workdir), _files(done.folder)
  for path, raw in before.items():  # Nothing is lost.
    assert here.get(path, b'') + aside.get(path, b'') == raw
  assert 'step 10 ' in done.describe() and '10 to 13' in done.describe()
  assert str(done.folder) in done.describe()

  assert _fit(workdir, 13) == [14, 15, 16]  # And the save of step 13 lands.
  assert sorted(int(path.name) for path in (
      workdir / 'checkpoints').iterdir()) == [5, 10, 13]
  assert _steps(workdir) == list(range(1, 14))

  again = rollback.rollback(workdir, 5, skip_batches=2)
  assert again.folder != done.folder and again.batches == ((5, 7), (10, 14))
  assert _fit(workdir, 12) == [7, 8, 9, 14, 15, 16, 17]


def test_a_second_rollback_to_a_step_skips_more_batches(tmp_path):
  workdir = tmp_path / 'run'
  _fit(workdir, 5)
  done = rollback.rollback(workdir, 5)
  assert done.folder is None and done.batches == ()
  assert not (workdir / 'skips.json').exists()
  assert [rollback.rollback(workdir, 5, n).batches for n in (1, 2)] == [
      ((5, 6),), ((5, 8),)]


def test_a_killed_rollback_is_completed_by_the_same_call(tmp_path, monkeypatch):
  workdir = tmp_path / 'run'
  _fit(workdir, 15)

  def killed(*unused):
    raise KeyboardInterrupt

  with monkeypatch.context() as context:
    context.setattr(atomic, 'write', killed)
    with pytest.raises(KeyboardInterrupt):
      rollback.rollback(workdir, 5, 3)
  rollback.rollback(workdir, 5, 3)
  assert _steps(workdir) == [1, 2, 3, 4, 5]
  assert skips_lib.Skips.read(workdir).ranges == ((5, 8),)
  assert len(list(workdir.glob('rolled_back/*/checkpoints/1*'))) == 2


def test_an_impossible_rollback_is_refused_and_changes_nothing(tmp_path):
  workdir = tmp_path / 'run'
  with pytest.raises(errors.InputError, match='not a run directory'):
    rollback.rollback(workdir, 1)
  assert not workdir.exists()
  _fit(workdir, 10)
  before = _files(workdir)
  for step, skip, message in ((7, 1, 'step 7, only of 5, 10'),
                              (5, -1, 'at least 0; got -1')):
    with pytest.raises(errors.InputError, match=message):
      rollback.rollback(workdir, step, skip)
  with lock.held(workdir):
    with pytest.raises(errors.InputError, match='in use'):
      rollback.rollback(workdir, 5)
  (workdir / 'events.jsonl').write_text('{}\n')
  with pytest.raises(errors.InputError, match='events.jsonl:1 is not the row'):
    rollback.rollback(workdir, 5)
  (workdir / 'events.jsonl').unlink()
  assert _files(workdir) == before

  for path in (workdir / 'checkpoints/5').rglob('*'):
    if path.is_file() and path.stat().st_size > 20:
      path.write_bytes(path.read_bytes()[:-10])
  with pytest.raises(errors.InputError, match='Step 5 .* is damaged'):
    rollback.rollback(workdir, 5)
  assert (workdir / 'checkpoints/10').exists()
