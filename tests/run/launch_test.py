"""Starting a run, and the starts that are refused."""
import dataclasses
import shutil

from absl import flags
import jax
import numpy as np
import pytest

from lmjax.checkpoints import store
from lmjax.core import errors
from lmjax.core.files import durable
from lmjax.core import layouts
from lmjax.core import trees
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.models.presets import decoders
from lmjax.nn import pattern
from lmjax.recipes import prepared
from lmjax.run import launch
from lmjax.run import skips
from lmjax.training import guard
from lmjax.training import loop
from lmjax.training import options
from lmjax.training.trackers import ml_flow
from lmjax.training import writers


def test_a_model_of_another_size_is_refused():
  launch.Launch().check_params(12)
  launch.Launch(expect_params=12).check_params(12)
  with pytest.raises(errors.InputError, match=(
      '1,200 parameters, but --expect_params is 1,000')):
    launch.Launch(expect_params=1000).check_params(1200)


def test_flags_become_a_launch(monkeypatch):
  values = flags.FlagValues()
  for name in 'DEFINE_enum', 'DEFINE_bool', 'DEFINE_multi_string', (
      'DEFINE_integer'), 'DEFINE_float':
    define = getattr(flags, name)
    monkeypatch.setattr(
        flags, name, lambda *args, define=define, **kwargs: define(
            *args, flag_values=values, **kwargs))
  read = launch.define_flags()
  values(['script'])
  assert read() == launch.Launch()
  values(['script', '--on_damaged=fail', '--takeover', '--override=a.b',
          '--override=c', '--expect_params=7', '--watchdog_s=0'])
  assert read() == launch.Launch('fail', True, ('a.b', 'c'), 7, None)
  monkeypatch.setattr(flags, 'FLAGS', values)
  assert sorted(launch.given_flags()) == [
      '--expect_params=7', '--on_damaged=fail', '--override=a.b',
      '--override=c', '--takeover', '--watchdog_s=0.0']
  values.unparse_flags()
  values(['script', '--takeover'])
  assert launch.given_flags() == ['--takeover']


@pytest.fixture
def config():
  return experiment.Pretrain(
      data=pipeline.DataConfig(
          source=sources.InMemory(texts=('so much depends upon ',) * 40),
          split=None, tokenizer=symbols.Bytes(), batch_size=4),
      model=decoders.gpt2(8, 1, 2, vocab_size=None, context=16),
      training=options.Training(
          steps=8, log_every=4, guard=guard.Guard(max_bad_steps=2)))


def begin(config, workdir, start=launch.Launch(), batches=None):
  with start.started(str(workdir), config) as started:
    parts = prepared.prepare(config, str(workdir))
    run = started.open_run(parts.data.hashes())
    return started.fit(
        run, parts.initial_state(), batches or parts.batches,
        parts.batches.fingerprint, objective=parts.objective,
        optimizer=parts.optimizer, documents=parts.batches.documents)


@pytest.mark.slow
def test_training_follows_its_options(config, tmp_path, monkeypatch):
  given = dataclasses.replace(config, training=dataclasses.replace(
      config.training, microbatches=2, ema_decay=0.5, eval_every=3,
      save_every=5, save_minutes=7.0, workers=2))

  class Stop(Exception):
    pass

  def fit(state, batches, **options):
    fields = {name: value for name, value in vars(given.training).items()
              if name in options and name != 'parallel'}
    assert len(fields) == 11
    assert {name: options[name] for name in fields} == fields
    raise Stop
  monkeypatch.setattr(loop, 'fit', fit)
  with pytest.raises(Stop):
    begin(given, tmp_path)


def test_a_tracker_without_its_package_is_refused_first(
    config, tmp_path, monkeypatch):
  monkeypatch.setattr(ml_flow.MLflow, 'package', 'no_such_package')
  tracked = dataclasses.replace(config, training=dataclasses.replace(
      config.training, trackers=(ml_flow.MLflow(),)))
  with pytest.raises(errors.InputError, match='needs the package no_such'):
    with launch.Launch().started(str(tmp_path / 'run'), tracked):
      pytest.fail('The run has started.')
  assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_trackers_get_the_config_and_histograms(config, tmp_path):
  begin(dataclasses.replace(config, training=dataclasses.replace(
      config.training, histogram_every=8, microbatches=2)), tmp_path)
  tracked, = (tmp_path / 'tensorboard').iterdir()
  for part in (b'optimizer.learning_rate', b'train/loss', (
      b'parameters/embed/embedding'), b'gradients/embed/embedding'):
    assert part in tracked.read_bytes(), part


@pytest.mark.slow
def test_rows_are_on_disk_before_the_checkpoint_of_their_step(
    config, tmp_path, monkeypatch):
  names, rename, sync = [], durable.rename, durable.sync
  monkeypatch.setattr(durable, 'sync', lambda path: (
      names.append(str(path)), sync(path)))
  monkeypatch.setattr(durable, 'rename', lambda source, target: (
      names.append(str(target)), rename(source, target)))
  begin(config, tmp_path)
  saved, = (i for i, name in enumerate(names) if name.endswith('points/8'))
  assert {f'{tmp_path}/{name}.jsonl' for name in ('metrics', 'events')} <= {
      *names[:saved][-2:]}


def rows(path):
  return [{k: v for k, v in row.items() if k != 'tokens_per_s'}
          for row in writers.read(path)]


@pytest.mark.slow
def test_a_stop_file_saves_and_the_next_start_continues(
    config, tmp_path, capsys):
  whole, _, _ = begin(config, tmp_path / 'whole')
  stop = tmp_path / 'run/STOP'
  batches = prepared.prepare(config, str(tmp_path / 'cache')).batches

  def stops(step):
    if step == 2:
      stop.touch()
    return batches(step)

  with pytest.raises(SystemExit) as ended:
    begin(config, tmp_path / 'run', batches=stops)
  assert ended.value.code == 75 and not stop.exists()
  said = capsys.readouterr().err
  assert 'STOP: saved step' in said and 'same command' in said
  rest, _, _ = begin(config, tmp_path / 'run')
  assert int(rest.state.step) == 8
  jax.tree.map(np.testing.assert_array_equal, whole.state.params,
               rest.state.params)
  assert rows(tmp_path / 'run/metrics.jsonl') == rows(
      tmp_path / 'whole/metrics.jsonl')


@pytest.mark.slow
def test_bad_steps_are_events_and_end_the_run(config, tmp_path):
  batches = prepared.prepare(config, str(tmp_path / 'cache')).batches

  def bad(step):
    batch = dict(batches(step))
    if step in (1, 4, 5):
      batch['weights'] = batch['weights'] * np.nan
    return batch

  with pytest.raises(errors.RunError, match='Step 6 is bad step 2 in a row'):
    begin(config, tmp_path / 'run', batches=bad)
  events = rows(tmp_path / 'run/events.jsonl')
  assert [event['step'] for event in events] == [2, 5, 6]
  assert events[0]['documents'] == batches.documents(1)


@pytest.mark.slow
def test_skipped_batches_are_never_requested(config, tmp_path):
  asked = []
  batches = prepared.prepare(config, str(tmp_path / 'cache')).batches

  def asks(step):
    asked.append(step)
    return batches(step)

  (tmp_path / 'run').mkdir()
  skips.Skips().after(3, 4).write(tmp_path / 'run')
  begin(config, tmp_path / 'run', batches=asks)
  assert asked == [0, 1, 2, 7, 8, 9, 10, 11]
  (tmp_path / 'run/skips.json').unlink()
  with pytest.raises(errors.InputError, match='the run skipped 3 to 6'):
    begin(config, tmp_path / 'run')


def test_a_held_directory_is_refused_and_nothing_changed(config, tmp_path):
  with launch.Launch().started(str(tmp_path), config):
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(errors.InputError, match='run dir is in use by pid'):
      begin(config, tmp_path)
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.slow
def test_a_changed_field_needs_an_override(config, tmp_path):
  begin(config, tmp_path)
  changed = dataclasses.replace(config, optimizer=dataclasses.replace(
      config.optimizer, learning_rate=3e-3))
  with pytest.raises(errors.InputError, match=(
      'optimizer.learning_rate: .*-> 0.003')):
    begin(changed, tmp_path)
  begin(changed, tmp_path, launch.Launch(
      override=('optimizer.learning_rate',)))


@pytest.mark.slow
def test_a_run_continues_to_more_steps_with_an_override(config, tmp_path):
  begin(config, tmp_path)
  before = rows(tmp_path / 'metrics.jsonl')
  longer = dataclasses.replace(config, training=dataclasses.replace(
      config.training, steps=12))
  with pytest.raises(errors.InputError, match=(
      'training.steps: 8 -> 12(.|\n)*learning rate jumps')):
    begin(longer, tmp_path)
  fitted, _, _ = begin(
      longer, tmp_path, launch.Launch(override=('training.steps',)))
  assert int(fitted.state.step) == 12
  after = rows(tmp_path / 'metrics.jsonl')
  assert after[:2] == before and [row['step'] for row in after] == [4, 8, 12]


@pytest.mark.slow
def test_changed_data_are_detected_by_the_checkpoint_too(config, tmp_path):
  begin(config, tmp_path)
  other = dataclasses.replace(config, data=dataclasses.replace(
      config.data, seed=5))
  (tmp_path / 'config.json').unlink()  # As if the folder had been copied.
  with pytest.raises(errors.InputError, match='seed: 0 -> 5'):
    begin(other, tmp_path)


@pytest.mark.slow
def test_a_run_goes_on_with_layers_scanned_or_looped_and_remat(
    config, tmp_path, capsys):
  """Parameters, moments and averages are converted to the bit."""
  given = dataclasses.replace(
      config, model=decoders.gpt2(8, 3, 2, vocab_size=None, context=16),
      training=dataclasses.replace(
          config.training, ema_decay=0.5, log_every=1))
  assert given.model.pattern is None
  given = dataclasses.replace(given, model=dataclasses.replace(
      given.model, pattern=pattern.LocalGlobal(4, every=2)))
  half = dataclasses.replace(
      given, training=dataclasses.replace(given.training, steps=4))
  other = dataclasses.replace(given, model=dataclasses.replace(
      given.model, scan=True, remat='full'))
  longer = launch.Launch(override=('training.steps',))
  whole, _, _ = begin(given, tmp_path / 'whole')
  begin(half, tmp_path / 'run')
  shutil.copytree(tmp_path / 'run', tmp_path / 'back')
  stopped, _, _ = begin(other, tmp_path / 'run', longer)
  told = capsys.readouterr().err
  assert 'model.scan: False -> True (checkpoints fit)' in told
  assert stopped.state.params.keys() >= {'layers', 'layer_2'}
  for name in 'params', 'ema':
    one, many = (getattr(each.state, name) for each in (whole, stopped))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(
        a, b, rtol=1e-4, atol=1e-6), one, layouts.looped(many))
  losses = [[row['loss'] for row in rows(tmp_path / name / 'metrics.jsonl')]
            for name in ('whole', 'run')]
  assert len(losses[0]) == 8
  np.testing.assert_allclose(*losses, rtol=1e-5)

  # The best of the run is from before a start that changes nothing else.
  _, step, params = begin(given, tmp_path / 'run', longer)
  assert step == 8
  assert trees.digest(params) == trees.digest(
      layouts.looped(stopped.state.ema))

  # What is read of step 4 is what was saved, in either layout.
  target = jax.eval_shape(lambda: stopped.state)
  saved = store.Checkpoints(tmp_path / 'back/checkpoints')
  found = saved.restore_latest(target).state
  again = saved.restore_latest(jax.eval_shape(lambda: whole.state)).state
  for name in 'params', 'ema', 'opt_state':
    assert trees.digest(layouts.looped(trees.nested(trees.items(
        getattr(found, name))))) == trees.digest(
            trees.nested(trees.items(getattr(again, name))))


@pytest.mark.slow
def test_rows_that_the_directory_has_lost_are_reported(
    config, tmp_path, caplog):
  (tmp_path / 'STOP').touch()
  with pytest.raises(SystemExit):
    begin(config, tmp_path)
  begin(config, tmp_path)
  assert 'rows' not in caplog.text
  lines = (tmp_path / 'metrics.jsonl').read_text().splitlines(keepends=True)
  (tmp_path / 'metrics.jsonl').write_text(''.join(lines[1:]))
  begin(config, tmp_path)
  assert ('metrics.jsonl has 1 of the 2 rows that the run wrote up to step 8'
          in caplog.text)


@pytest.mark.slow
def test_a_config_edited_in_the_directory_is_not_continued(config, tmp_path):
  begin(config, tmp_path)
  text = (tmp_path / 'config.json').read_text()
  assert text.count('"learning_rate": 0.001') == 1
  (tmp_path / 'config.json').write_text(
      text.replace('"learning_rate": 0.001', '"learning_rate": 0.01'))
  edited = dataclasses.replace(config, optimizer=dataclasses.replace(
      config.optimizer, learning_rate=0.01))
  with pytest.raises(errors.InputError, match=(
      'The checkpoint of step 8 .*\n  optimizer.learning_rate: 0.001 -> 0.01')):
    begin(edited, tmp_path)
  begin(edited, tmp_path, launch.Launch(override=('optimizer',)))
