"""A restored state is exactly the saved one, or is not restored."""
import dataclasses
import json
import logging
import threading

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.checkpoints import store
from lmjax.checkpoints import writing
from lmjax.core import digests
from lmjax.core import errors
from lmjax.core import layouts
from lmjax.core import trees
from lmjax.parallel import strategy
from lmjax.testing import faults
from lmjax.training import step
from lmjax.training import stopping


# TensorStore, where it cannot read on.
pytestmark = pytest.mark.filterwarnings(
    'ignore::pytest.PytestUnraisableExceptionWarning')
WIDE = np.arange(1, 501, dtype=np.float32)


def make(toy, factor=1.0, ema=False):
  params = jax.tree.map(lambda p: factor * p, toy.params)
  params['head']['half'] = jnp.ones((3,), jnp.bfloat16) * factor
  params['wide'] = WIDE * np.float32(factor)
  return step.init_state(params, optax.adam(1.0), 5, ema=ema)


def same(a, b):
  assert jax.tree.structure(a) == jax.tree.structure(b)
  assert a.rng.dtype == b.rng.dtype
  assert jnp.array_equal(jax.random.key_data(a.rng), jax.random.key_data(b.rng))
  jax.tree.map(np.testing.assert_array_equal, *jax.device_get(
      (a.replace(rng=None), b.replace(rng=None))))


def test_returns_what_was_saved(toy, tmp_path):
  with store.Checkpoints(tmp_path, facts={'seed': 1}) as saved:
    saved.save(3, make(toy, ema=True), stopping.Progress(tokens=7.0, best=2.5))
    found = saved.restore_latest(make(toy, 0.0, ema=True))
  same(found.state, make(toy, ema=True))
  assert (found.step, found.skipped, found.facts) == (3, (), {'seed': 1})
  assert found.progress == stopping.Progress(tokens=7.0, best=2.5)


def test_empty_directory(toy, tmp_path):
  with store.Checkpoints(tmp_path) as saved:
    assert saved.restore_latest(make(toy)) is None
    with pytest.raises(errors.InputError, match='no checkpoints'):
      saved.restore(make(toy))


def test_keeps_the_last_and_the_best(toy, tmp_path):
  with store.Checkpoints(tmp_path, keep_last=2) as saved:
    for number, score in enumerate([3.0, 1.0, float('nan'), 2.0, None], 1):
      saved.save(number, make(toy, number), score=score)
    assert saved.steps() == [2, 4, 5]
    assert store.best_step(tmp_path) == 2
    assert saved.restore(make(toy), 'best').step == 2
    assert saved.restore(make(toy), 4).step == 4
    with pytest.raises(errors.InputError, match=r"step 3 .*\[2, 4, 5\]"):
      saved.restore(make(toy), 3)


def test_facts_that_are_not_json_are_refused(toy, tmp_path):
  with store.Checkpoints(tmp_path) as saved:
    with pytest.raises(TypeError):
      saved.save(1, make(toy), stopping.Progress(tokens=np.float32(3)))
    assert saved.steps() == []
  with pytest.raises(TypeError):
    store.Checkpoints(tmp_path, facts={'config': object()})


def test_unscored_steps(toy, tmp_path):
  with store.Checkpoints(tmp_path) as saved:
    for number in 1, 2:
      saved.save(number, make(toy, number))
  assert store.best_step(tmp_path) is None
  assert store.restore_params(tmp_path, 'best')[0] == 2


def test_a_new_run_resumes_from_its_own_state(toy, tmp_path):
  state = make(toy)
  with store.Checkpoints(tmp_path) as saved:
    assert saved.resume(state) == (state, stopping.Progress())
    saved.save(4, make(toy, 2.0), stopping.Progress(tokens=5.0))
    found, progress = saved.resume(state)
  same(found, make(toy, 2.0))
  assert progress.tokens == 5.0


def test_saving_an_existing_step_is_refused(toy, tmp_path):
  with store.Checkpoints(tmp_path) as saved:
    saved.save(2, make(toy))
    for number in 1, 2:
      with pytest.raises(errors.InputError, match='step 2 is already there'):
        saved.save(number, make(toy))


def test_any_flipped_bit_is_harmless_or_detected(toy, tmp_path, caplog):
  with store.Checkpoints(tmp_path) as saved:
    for number in 1, 2:
      saved.save(number, make(toy, number))
    saved.wait()
    draw, noticed = np.random.default_rng(0), 0
    files = [p for p in (tmp_path / '2' / 'params').rglob('*')
             if p.is_file() and p.stat().st_size]
    for trial in range(24):
      path = files[trial % len(files)]
      sound = path.read_bytes()
      data = bytearray(sound)
      data[draw.integers(len(data))] ^= 1 << draw.integers(8)
      path.write_bytes(data)
      with caplog.at_level(logging.WARNING):
        number, params = store.restore_params(tmp_path, 'latest')
      jax.tree.map(np.testing.assert_array_equal, params,
                   jax.device_get(make(toy, number).params))
      if number == 1:
        noticed += 1
        assert 'step 2 is damaged' in caplog.text
        found = saved.restore(make(toy))
        same(found.state, make(toy, 1))
        assert found.skipped[0][0] == 2
        with pytest.raises(errors.InputError, match='step 2 is damaged'):
          store.restore_params(tmp_path, 2)
      caplog.clear()
      path.write_bytes(sound)
  assert noticed > 4


def test_a_wrong_digest_names_the_array(toy, tmp_path):
  with store.Checkpoints(tmp_path) as saved:
    saved.save(1, make(toy))
  about = tmp_path / '1' / 'about' / 'metadata'
  facts = json.loads(about.read_text())
  facts['arrays']['params']['head/kernel']['sha256'] = '0'
  del facts['sha256']
  about.write_text(json.dumps(digests.signed(facts)))
  with pytest.raises(
      errors.InputError, match='array params/head/kernel: digest mismatch'):
    store.restore_params(tmp_path)


def test_missing_files_are_damage(toy, tmp_path):
  with store.Checkpoints(tmp_path) as saved:
    for number in 1, 2:
      saved.save(number, make(toy, number))
    saved.wait()
    (tmp_path / '9').mkdir()  # Left by something else.
    (tmp_path / '2' / 'about' / 'metadata').unlink()
  with store.Checkpoints(tmp_path) as saved:
    assert saved.restore(make(toy)).step == 1


def test_another_structure_is_refused_with_its_paths(toy, tmp_path):
  with store.Checkpoints(tmp_path) as saved:
    saved.save(1, make(toy))
    other = make(toy)
    other.params['head']['kernel'] = jnp.zeros((8, 12))
    with pytest.raises(
        errors.InputError,
        match=r'params/head/kernel: float32\[8, 11\] -> float32\[8, 12\]'):
      saved.restore(other)
    other = make(toy)
    other.params['head']['half'] = jnp.zeros((3,), jnp.float32)
    with pytest.raises(errors.InputError, match='bfloat16'):
      saved.restore(other)


def parted(toy, optimizer, **options):
  """Returns the toy's state with its layers apart."""
  params = {'side': {'stack': toy.params}}
  apart = {'side': {'stack': layouts.looped(toy.params)}}
  return [step.init_state(each, optimizer, 5, **options)
          for each in (params, apart)]


@pytest.mark.slow
def test_layers_are_read_stacked_or_apart_as_the_target_has_them(
    toy, tmp_path):
  """Moments and averages go with the parameters; keys and counts stay."""
  optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1))
  stacked, apart = parted(toy, optimizer, ema=True)
  filled = [jax.tree.map(
      lambda leaf: leaf if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
      else leaf + 2, each) for each in (stacked, apart)]
  for i, (one, other, target) in enumerate(zip(
      filled, filled[::-1], (apart, stacked))):
    with store.Checkpoints(tmp_path / str(i)) as saved:
      saved.save(3, one)
      found = saved.restore_latest(jax.eval_shape(lambda x: x, target))
    same(found.state, other)
    _, params = store.restore_params(tmp_path / str(i), like=target.params)
    assert trees.digest(params) == trees.digest(other.params)


def test_state_that_measures_stacked_layers_as_one_is_refused(toy, tmp_path):
  factored = [parted(toy, optax.adafactor(0.1, min_dim_size_to_factor=size))
              for size in (4, 128)]
  for i, (one, other) in enumerate(
      pair[::way] for pair in factored for way in (1, -1)):
    with store.Checkpoints(tmp_path / str(i)) as saved:
      saved.save(3, one)
      with pytest.raises(errors.InputError, match='set scan to its saved'):
        saved.restore_latest(other)


def test_progress_of_another_version_is_an_input_error(
    toy, tmp_path, monkeypatch):
  write(toy, tmp_path, 1)
  monkeypatch.setattr(
      store.stopping, 'Progress', dataclasses.make_dataclass('P', ['x']))
  with pytest.raises(errors.InputError, match="another version .*'best_step'"):
    store.Checkpoints(tmp_path).restore(make(toy))


def test_parameters_can_be_restored_alone(toy, tmp_path):
  state = make(toy, ema=True)
  state = state.replace(ema=jax.tree.map(lambda p: 2 * p, state.ema))
  with store.Checkpoints(tmp_path) as saved:
    saved.save(1, state)
  for average, expected in (True, state.ema), (False, state.params):
    number, params = store.restore_params(tmp_path, average=average)
    assert number == 1
    jax.tree.map(np.testing.assert_array_equal, params,
                 jax.device_get(expected))
    assert isinstance(params['head']['half'], np.ndarray)
    assert params['head']['half'].dtype == jnp.bfloat16


def test_absent_directory(tmp_path):
  with pytest.raises(errors.InputError, match='no checkpoints in .*nowhere'):
    store.restore_params(tmp_path / 'nowhere')


def write(toy, directory, *steps, **settings):
  with store.Checkpoints(directory, keep_last=9, **settings) as saved:
    for number in steps:
      saved.save(number, make(toy, number))


def flip(directory, item='params'):
  """Flips a bit of the array `wide`, or of its moments."""
  sound = WIDE * int(directory.name) if item == 'params' else 0 * WIDE
  sound = sound.tobytes()
  changed = sound[:-3] + bytes([sound[-3] ^ 4]) + sound[-2:]
  paths = [p for p in (directory / item).rglob('*')
           if p.is_file() and sound in p.read_bytes()]
  assert paths
  for path in paths:
    path.write_bytes(path.read_bytes().replace(sound, changed))


def test_saving_continues_after_damaged_steps(toy, tmp_path, caplog):
  write(toy, tmp_path, 10, 20, 30)
  flip(tmp_path / '20')
  flip(tmp_path / '30', 'rest')
  with store.Checkpoints(tmp_path) as saved:
    with caplog.at_level(logging.WARNING):
      state, _ = saved.resume(make(toy))
    same(state, make(toy, 10))
    text, = caplog.messages
    assert text.startswith('step 30 is damaged (array rest/')
    assert text.endswith(
        'digest mismatch); using step 10. 2 checkpoints skipped. To stop '
        'instead: --on_damaged=fail')
    assert saved.steps() == [10, 20, 30]  # Reading moves nothing.
    saved.save(13, make(toy, 13))
    assert saved.steps() == [10, 13]
    same(saved.restore(make(toy)).state, make(toy, 13))
    with pytest.raises(errors.InputError, match='step 13 is already there'):
      saved.save(12, make(toy, 12))
  assert sorted(p.name for p in (tmp_path / 'damaged').iterdir()) == [
      '20', '30']


def test_damage_can_stop_a_run(toy, tmp_path):
  write(toy, tmp_path, 1, 2)
  flip(tmp_path / '2')
  with store.Checkpoints(tmp_path, on_damaged='fail') as saved:
    with pytest.raises(
        errors.InputError,
        match=r'step 2 is damaged \(array params/.*--on_damaged=older'):
      saved.resume(make(toy))
  with pytest.raises(errors.InputError, match="on_damaged is 'ignore'"):
    store.Checkpoints(tmp_path, on_damaged='ignore')


def everything(directory):
  return {str(p): (p.stat().st_mtime_ns, p.is_dir() or p.read_bytes())
          for p in [directory, *directory.rglob('*')]}


def test_nothing_changes_if_all_steps_are_damaged(toy, tmp_path):
  write(toy, tmp_path, 1, 2)
  for number in 1, 2:
    flip(tmp_path / str(number))
  before = everything(tmp_path)
  with pytest.raises(
      errors.InputError, match=r'step 2 is damaged .*; step 1 is damaged'):
    with store.Checkpoints(tmp_path) as saved:
      saved.resume(make(toy))
  assert everything(tmp_path) == before


def test_reading_changes_nothing(toy, tmp_path):
  folder = tmp_path / 'a folder, read only'
  write(toy, folder, 1, 2)
  flip(folder / '2')
  link = tmp_path / 'link'
  link.symlink_to(folder, target_is_directory=True)
  for path in [*folder.rglob('*'), folder]:
    path.chmod(0o555 if path.is_dir() else 0o444)
  before = everything(folder)
  with store.Checkpoints(link) as saved:
    same(saved.restore(make(toy)).state, make(toy, 1))
  assert store.restore_params(link)[0] == 1
  assert everything(folder) == before
  for path in [folder, *folder.rglob('*')]:
    path.chmod(0o755)
  write(toy, link, 3)
  assert store.restore_params(folder, 'latest')[0] == 3


def test_nothing_is_created_before_the_first_save(tmp_path):
  with store.Checkpoints(tmp_path / 'new') as saved:
    assert saved.steps() == []
  assert not (tmp_path / 'new').exists()


def test_another_pipeline_is_refused_with_a_table(toy, tmp_path, caplog):
  saved = {'seed': 0, 'batch': [8, 16], 'source': {'sha': 'abc', 'n': 3}}
  write(toy, tmp_path, 4, facts={'pipeline': saved})
  other = saved | {'seed': 1, 'source': {'sha': 'xyz', 'n': 3}}
  before = everything(tmp_path)

  def resume(pipeline, *override):
    run = store.Checkpoints(tmp_path, facts={'pipeline': pipeline})
    with run:
      return run.resume(make(toy), override)[0]

  same(resume(saved | {'batch': (8, 16)}), make(toy, 4))
  with pytest.raises(errors.InputError) as refused:
    resume(other)
  for text in (
      f'{tmp_path} (step 4) holds', 'seed: 0 -> 1',
      "source.sha: 'abc' -> 'xyz'",
      '--override=seed --override=source.sha'):
    assert text in str(refused.value)
  with pytest.raises(errors.InputError, match='ones: --override=seed$'):
    resume(other, 'source')
  with pytest.raises(errors.InputError, match='ones: --override=source.sha$'):
    resume(other, 'seed', 'sour')
  assert everything(tmp_path) == before
  for override in [('seed', 'source.sha'), ('seed', 'source')]:
    same(resume(other, *override), make(toy, 4))
    assert 'because of --override' in caplog.messages[-1]


def test_before_save_is_called_before_each_save(toy, tmp_path):
  class Lost(Exception):
    pass

  def check():
    if (tmp_path / '1').exists():
      raise Lost

  with pytest.raises(Lost):
    with store.Checkpoints(tmp_path, before_save=check) as saved:
      saved.save(1, make(toy))
      saved.save(2, make(toy))
  assert store.restore_params(tmp_path)[0] == 1
  assert not (tmp_path / '2').exists()


def test_free_space_is_checked_before_training(toy, tmp_path, monkeypatch):
  usage = store.shutil.disk_usage(tmp_path)
  size = 4 * (11 * 8 + 2 * 64 + 2 * 8 + 2 * 8 + 8 * 11 + 500) + 6
  size = 3 * size + 4 + 4 + 8  # Two moments, two counts, a key.
  state = make(toy)

  def check(free, keep_last=2):
    monkeypatch.setattr(store.shutil, 'disk_usage',
                        lambda path: usage._replace(free=free))
    store.Checkpoints(tmp_path / 'new', keep_last).preflight(state)

  check(4 * size)
  check(3 * size, keep_last=1)
  with pytest.raises(errors.InputError) as refused:
    check(4 * size - 1)
  assert f'4 of {size:,} bytes' in str(refused.value)
  assert f'need {4 * size:,} bytes, {4 * size - 1:,} are free' in str(
      refused.value)
  write(toy, tmp_path / 'new', 1)
  check(3 * size)  # The step that is there will make room.


def test_saving_continues_after_a_full_disk(toy, tmp_path, caplog):
  state = make(toy)
  with pytest.raises(store.FailedSaves, match='last 2 saves failed'):
    with store.Checkpoints(tmp_path, max_failed_saves=2) as saved:
      saved.save(1, state)
      saved.wait()
      with faults.fill_disk(600):
        saved.save(2, state)
        with pytest.raises(store.FailedSaves, match='not be saved'):
          saved.wait()
        assert saved.steps() == [1]
        assert saved.restore(state).step == 1
        saved.save(3, state)
        saved.save(4, state)
  with store.Checkpoints(tmp_path) as saved:
    with faults.fill_disk(600):
      saved.save(2, state)
      assert saved.steps() == [1]
    assert len(caplog.messages) == 3
    saved.save(2, make(toy, 5.0))  # There is room again.
    same(saved.restore(state).state, make(toy, 5.0))
    assert saved.steps() == [1, 2]


@pytest.mark.parametrize('error', [SystemExit(0), None])
def test_the_end_of_a_run_reports_a_failed_last_save(
    toy, tmp_path, error):
  with pytest.raises(store.FailedSaves):
    with store.Checkpoints(tmp_path) as saved:
      with faults.fill_disk(600):
        saved.save(1, make(toy))
        saved.steps()
      if error:
        raise error


def test_saving_waits_only_for_the_copy(toy, tmp_path, monkeypatch):
  ready = threading.Event()
  write_ = writing.Writer._write
  monkeypatch.setattr(
      writing.Writer, '_write',
      lambda *args: ready.wait(20) and write_(*args))
  state = make(toy)
  with store.Checkpoints(tmp_path) as saved:
    saved.save(1, state)
    jax.jit(lambda s: jax.tree.map(lambda x: x + 1, s.params),
            donate_argnums=0)(state)  # Training goes on in the same memory.
    ready.set()
    same(saved.restore(make(toy)).state, make(toy))


@pytest.mark.parametrize('devices', [1, 2, 8])
def test_from_four_devices_to_another_number(toy, tmp_path, devices):
  four = strategy.Pmap(jax.devices()[:4])
  state = make(toy, ema=True)
  with store.Checkpoints(tmp_path) as saved:
    saved.save(1, four.gather(four.place(state)))
    found = saved.restore(jax.eval_shape(lambda: state)).state
  there = (strategy.Jit() if devices == 1
           else strategy.Pmap(jax.devices()[:devices]))
  placed = there.place(found)
  assert len(placed.params['head']['half'].devices()) == devices
  faults.assert_bitwise(there.gather(placed), state)
