"""Trials of damaged checkpoints, full disks and NaN."""
import importlib.util
import logging
import shutil

import numpy as np

from lmjax.checkpoints import reading
from lmjax.checkpoints import store
from lmjax.core.flags import overrides
from lmjax.recipes import prepared
from lmjax.testing import faults
from lmjax.testing import power_cut as power_cuts
from lmjax.training import writers
from survival import bench as bench_lib

BAD = 12  # The step, from 0, whose batch contains NaN.
NAN = f'nan={BAD}'
EVERY_STEP = (
    '--config.training.save_every=1', '--config.training.keep_last=99')
_SMALL = 30_000  # Bytes; the logs fit into this, a checkpoint does not.


def newest(bench, rng, trials=3):
  """Damages one file of the newest checkpoint and starts the run again."""
  for _ in range(trials):
    workdir = bench.half()
    files = sorted(p for p in _newest(workdir).rglob('*') if p.is_file())
    damage = faults.DAMAGES[int(rng.integers(len(faults.DAMAGES)))]
    faults.damage(files[int(rng.integers(len(files)))], damage, rng)
    bench.run(workdir)
    bench.same(workdir)
  return trials


def every_file(bench, rng):
  """Damages every file of the newest checkpoint in every way, in process."""
  workdir = bench.half()
  return _restored(bench, workdir, faults.damaged(_newest(workdir), rng))


def flips(bench, rng, trials=100):
  """Flips random bits of the newest checkpoint, in process."""
  workdir = bench.half()
  paths = [p for p in sorted(_newest(workdir).rglob('*')) if p.is_file()]
  sizes = [p.stat().st_size for p in paths]

  def one_at_a_time():
    for _ in range(trials):
      path = paths[rng.choice(len(paths), p=[s / sum(sizes) for s in sizes])]
      sound = path.read_bytes()
      bit = faults.flip_bit(path, rng)
      yield f'bit {bit} of {path}'
      path.write_bytes(sound)
  return _restored(bench, workdir, one_at_a_time())


def _restored(bench, workdir, sweep):
  """Restores after each damage; the result must be one of two exact steps."""
  target, directory = _target(bench), workdir / 'checkpoints'
  steps, logger = bench_lib.steps(workdir)[-2:], logging.getLogger('lmjax')
  saved = store.Checkpoints(directory)
  sound = {step: saved.restore(target, step).state for step in steps}
  count, level = 0, logger.level
  logger.setLevel(logging.CRITICAL)
  try:
    for count, what in enumerate(sweep, 1):
      found = store.Checkpoints(directory).restore(target)
      try:
        faults.assert_bitwise(found.state, sound[found.step])
      except (AssertionError, KeyError) as error:
        raise AssertionError(f'{what}: {error}') from error
      if found.step != steps[-1] and found.skipped[0][0] != steps[-1]:
        raise AssertionError(f'{what}: step {steps[-1]} is left out silently.')
  finally:
    logger.setLevel(level)
  return count


def _target(bench):
  """Returns a state with the structure of the runs' states."""
  path = bench_lib.HERE / 'config.py'
  spec = importlib.util.spec_from_file_location('survival_config', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = overrides.override(
      module.get_config(), {'data.source.paths': (str(bench.text),)})
  return prepared.prepare(config, str(bench.fresh('target'))).initial_state()


def _newest(workdir):
  return workdir / 'checkpoints' / str(bench_lib.steps(workdir)[-1])


def power_cut(bench, rng, saves=2):
  """Cuts the power at each moment of saves, in process."""
  target, folder, saved = _target(bench), bench.fresh('power'), [0]
  folder.mkdir()
  with power_cuts.recorded(
      folder, lambda: {saved[-1], *reading.steps(folder)}, draws=2,
      seed=int(rng.integers(2**31))) as recording:
    with store.Checkpoints(folder, keep_last=1, keep_best=0) as checkpoints:
      for step in range(1, saves + 1):
        checkpoints.save(step, target.replace(step=np.int32(step)))
        checkpoints.wait()
        saved.append(step)
  count = 0
  for cut in recording.cuts:
    if 0 not in cut.note:  # The first step has been saved.
      left, count = bench.fresh('cut'), count + 1
      cut.write(left)
      found = store.Checkpoints(left).restore(target)
      assert found.step in cut.note, cut
      faults.assert_bitwise(
          found.state, target.replace(step=np.int32(found.step)))
      shutil.rmtree(left)
  return count


def fail(bench, rng):
  """Damages the newest checkpoint and starts with --on_damaged=fail."""
  workdir = bench.half()
  _ruin(_newest(workdir), rng)
  with bench_lib.untouched(workdir, 'run.json'):
    bench.run(workdir, '--on_damaged=fail', code=bench_lib.REFUSED, says=[
        f'step {_newest(workdir).name} is damaged'])
  return 1


def all_damaged(bench, rng):
  """Damages all checkpoints."""
  workdir = bench.half()
  steps = bench_lib.steps(workdir)
  for step in steps:
    _ruin(workdir / 'checkpoints' / str(step), rng)
  with bench_lib.untouched(workdir, 'run.json'):
    bench.run(workdir, code=bench_lib.REFUSED, says=[
        f'step {step} is damaged' for step in steps])
  return 1


def _ruin(step, rng):
  """Damages the largest file of a checkpoint, which has the arrays."""
  faults.damage(max((p for p in step.rglob('*') if p.is_file()),
                    key=lambda path: path.stat().st_size), 'half', rng)


def full_disk(bench, rng):
  """Fills the disk for two saves, then frees it."""
  workdir, first = bench.fresh('full'), _between_saves(rng)
  with bench.gated(workdir, first, first + 8) as (process, at_gate, release):
    _saved(workdir, process, first)
    with faults.fill_disk(_SMALL, process.pid):
      release(first)
      at_gate(first + 8)
      assert process.wait_until(lambda: process.output().count(
          'could not be saved') == 2, 60), process.output()[-4000:]
    release(first + 8)
    bench_lib.expect(process.wait(bench_lib.PATIENCE_S), bench_lib.FINISHED)
  bench.same(workdir)
  return 1


def full_for_good(bench, rng, largest=_SMALL):
  """Fills the disk until the run ends, then frees it and continues."""
  workdir, first = bench.fresh('full'), _between_saves(rng)
  with bench.gated(workdir, first) as (process, at_gate, release):
    del at_gate
    _saved(workdir, process, first)
    with faults.fill_disk(largest, process.pid):
      release(first)
      ended = process.wait(bench_lib.PATIENCE_S)
  bench_lib.expect(ended, bench_lib.FAILED, 'Error: ')
  bench.run(workdir)
  bench.same(workdir)
  return 1


def no_room(bench, rng):
  """Fills the disk so that not even a row can be written."""
  return full_for_good(bench, rng, largest=1)


def _between_saves(rng):
  return 4 * int(rng.integers(1, 10)) + 2


def _saved(workdir, process, step):
  """Waits until the run has saved its last checkpoint before a step."""
  assert process.wait_until(
      lambda: bench_lib.steps(workdir)[-1:] == [step // 4 * 4],
      bench_lib.PATIENCE_S), process.output()[-4000:]


def nan(bench, rng):
  """Puts NaN into a batch, whose update is skipped and logged."""
  del rng
  flags = EVERY_STEP + ('--config.training.steps=30',)
  whole = bench.whole(*flags, injected=[NAN])
  before, after = (bench_lib.state(whole, step) for step in (BAD, BAD + 1))
  for name in 'params', 'rest/opt_state':
    faults.assert_bitwise(*(_part(state, name) for state in (after, before)))
  events = [row for row in writers.read(whole / 'events.jsonl')
            if row['step'] == BAD + 1]
  assert events and 'documents' in str(events[0]), f'Events: {events}.'
  return 1


def nan_and_kills(bench, rng, kills=3):
  """Puts NaN into batches and sends SIGKILL at random points."""
  injected, workdir = [f'nan={BAD},{BAD + 20}'], bench.fresh('killed')
  faults.run_with_kills(
      bench.command(workdir, injected=injected), bench_lib.metrics(workdir),
      rng, kills=kills, apart=(8, 16), env=bench.environment)
  bench.same(workdir, injected=injected)
  return kills


def many_nan(bench, rng):
  """Puts NaN into more consecutive batches than a run may have."""
  del rng
  workdir, bad = bench.fresh('bad'), ','.join(map(str, range(BAD, 80)))
  bench.run(
      workdir, '--max_bad_steps=5', code=bench_lib.FAILED,
      injected=[f'nan={bad}'], says=['step'])
  events = [row['step'] for row in writers.read(workdir / 'events.jsonl')]
  assert events == [BAD + 1 + i for i in range(5)], f'Events: {events}.'
  for step in bench_lib.steps(workdir):
    sound = bench_lib.state(workdir, step)
    faults.assert_bitwise(_part(sound, 'params'), _part(
        bench_lib.state(bench.whole(*EVERY_STEP), min(step, BAD)), 'params'))
  return 1


def _part(state, name):
  for key in name.split('/'):
    state = state[key]
  return state


FAULTS = [
    bench_lib.Fault(
        'damage', 'a file of the newest checkpoint is damaged',
        'uses an older one, continues, bit for bit', newest),
    bench_lib.Fault(
        'damage_every', 'each of its files: deleted, emptied, cut, a bit '
        'flipped', 'exactly it, or exactly the one before', every_file),
    bench_lib.Fault(
        'damage_bits', 'a random bit of it flipped',
        'exactly it, or exactly the one before', flips),
    bench_lib.Fault(
        'damage_fail', 'the same under --on_damaged=fail',
        'refused, exit code 2, nothing touched', fail),
    bench_lib.Fault(
        'damage_all', 'all checkpoints are damaged',
        'a list, exit code 2, nothing touched', all_damaged),
    bench_lib.Fault(
        'power_cut', 'power cut at any moment of a save, any part of what was '
        'not synced is lost', 'exactly its step, or exactly the one before',
        power_cut),
    bench_lib.Fault(
        'full_disk', 'the disk is full for two saves',
        'reported; continues, bit for bit', full_disk),
    bench_lib.Fault(
        'full_for_good', 'the disk stays full',
        'exit code 1; with room continues, bit for bit', full_for_good),
    bench_lib.Fault(
        'no_room', 'not even logs can be written',
        'exit code 1; with room continues, bit for bit', no_room),
    bench_lib.Fault(
        'nan', 'NaN in a batch',
        'update skipped, bit for bit; its documents are logged', nan),
    bench_lib.Fault(
        'nan_kill', 'NaN in batches and SIGKILL',
        'continues, bit for bit', nan_and_kills),
    bench_lib.Fault(
        'nan_many', 'NaN in every batch from some step on',
        'exit code 1, checkpoints untouched by it', many_nan),
]
