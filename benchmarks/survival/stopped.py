"""Trials of runs that are asked to stop, that hang, or that share a directory.
"""
import json
import signal
import time

from survival import bench as bench_lib

SIGNALS = {'SIGTERM': signal.SIGTERM, 'SIGINT': signal.SIGINT}
GRACE_S = 30  # Clusters give at least this time between SIGTERM and SIGKILL.
COLD = {'JAX_ENABLE_COMPILATION_CACHE': 'false'}  # Makes compilation slow.
_AGAIN_S = 0.6  # Between two signals, which count as one if they are close.


def by(how, where='steps'):
  """Returns the trial of a stop by a signal or file, at a phase of the run."""
  def run(bench, rng):
    workdir = bench.fresh('stopped')
    cold = COLD if where in ('compilation', 'evaluation') else {}
    with bench.started(workdir, **cold) as process:
      assert process.wait_until(
          _due(where, workdir, rng), bench_lib.PATIENCE_S
      ), process.output()
      time.sleep(rng.uniform(0, 0.3 if where == 'compilation' else 0.02))
      if how == 'STOP':
        (workdir / 'STOP').touch()
        asked = time.monotonic()
        ended = process.wait(bench_lib.PATIENCE_S)
        took = time.monotonic() - asked
      else:
        process.send(SIGNALS[how])
        ended = process.wait(bench_lib.PATIENCE_S)
        took = ended.seconds
    bench_lib.expect(ended, bench_lib.SAVED, how)
    # A compilation cannot be interrupted, so its time does not count.
    assert took < GRACE_S or cold, f'It took {took:.0f} s to stop.'
    last = bench_lib.rows(workdir)[-1]['step']
    assert bench_lib.steps(workdir)[-1] == last, (
        f'Step {last} was the last, {bench_lib.steps(workdir)} are saved.')
    bench.run(workdir)
    bench.same(workdir)
    return 1
  return run


def twice(how):
  """Returns the trial of a second signal while the run is stopping."""
  def run(bench, rng):
    del rng
    workdir, number = bench.fresh('stopped'), SIGNALS[how]
    with bench.started(workdir, **COLD) as process:
      assert process.wait_until(
          _due('compilation', workdir), bench_lib.PATIENCE_S
      ), process.output()
      process.send(number)
      time.sleep(_AGAIN_S)
      process.send(number)
      ended = process.wait(bench_lib.PATIENCE_S)
    bench_lib.expect(ended, 128 + number, how)
    assert ended.seconds < 1, f'It took {ended.seconds:.1f} s to end at once.'
    bench.run(workdir)
    bench.same(workdir)
    return 1
  return run


def before(how, code):
  """Returns the trial of a signal before the first step."""
  def run(bench, rng):
    workdir = bench.fresh('early')
    with bench.started(workdir) as process:
      assert process.wait_until(
          lambda: 'train: ' in process.output(), bench_lib.PATIENCE_S)
      time.sleep(rng.uniform(0, 0.1))
      process.send(SIGNALS[how])
      ended = process.wait(bench_lib.PATIENCE_S)
    bench_lib.expect(ended, code)
    bench.run(workdir)
    bench.same(workdir)
    return 1
  return run


def each(*trials):
  """Returns the trial that makes several trials."""
  return lambda bench, rng: sum(trial(bench, rng) for trial in trials)


def _due(where, workdir, rng=None):
  """Returns a function: whether a run has reached a phase."""
  def row():
    rows = bench_lib.rows(workdir)
    return rows[-1] if rows else {'step': 0}

  if where == 'compilation':
    return bench_lib.metrics(workdir).exists  # It is created just before.
  if where == 'evaluation':
    return lambda: row()['step'] == 20 and 'valid/loss' not in row()
  after = int(rng.integers(2, 50))
  if where == 'save':
    return bench_lib.saving(workdir, after)
  return lambda: row()['step'] >= after


def hanging(bench, rng, seconds=8):
  """Withholds a batch: the watchdog prints all stacks and ends the run."""
  workdir, step = bench.fresh('hanging'), int(rng.integers(5, 60))
  ended = bench.run(
      workdir, f'--watchdog_s={seconds}', code=bench_lib.HUNG,
      injected=[f'hang={step}'], says=['injected.py', 'pretrain.py'])
  assert ended.seconds > seconds
  bench.run(workdir)
  bench.same(workdir)
  return 1


def second_writer(bench, rng):
  """Starts a second run in the directory of a running one."""
  del rng
  workdir = bench.fresh('shared')
  with bench.gated(workdir, 30) as (process, at_gate, release):
    at_gate(30)
    with bench_lib.untouched(workdir):
      bench.run(workdir, code=bench_lib.REFUSED, says=[
          f'in use by pid {process.pid}', '--takeover', str(workdir)])
    release(30)
    bench_lib.expect(process.wait(bench_lib.PATIENCE_S), bench_lib.FINISHED)
  bench.same(workdir)
  return 1


def takeover(bench, rng):
  """Starts a second run with --takeover; the first must not write any more."""
  del rng
  workdir = bench.fresh('shared')
  with bench.gated(workdir, 30) as (process, at_gate, release):
    at_gate(30)
    bench.run(workdir, '--takeover', says=[f'from pid {process.pid}'])
    # Each process has its own TensorBoard file and may finish it.
    with bench_lib.untouched(workdir, 'tensorboard'):
      release(30)
      bench_lib.expect(process.wait(bench_lib.PATIENCE_S), bench_lib.FAILED,
                       'writes nothing more there')
  bench.same(workdir)
  return 1


def stale_lock(bench, rng):
  """Starts with the lock of a dead process, of this and of another host."""
  del rng
  workdir = bench.half()
  bench.run(workdir, says=['reclaimed from pid'])
  bench.same(workdir)
  workdir = bench.half()
  lock = workdir / 'LOCK'
  lock.write_text(json.dumps(json.loads(lock.read_text()) | {'host': 'other'}))
  with bench_lib.untouched(workdir):
    bench.run(workdir, code=bench_lib.REFUSED, says=['on host other'])
  bench.run(workdir, '--takeover')
  bench.same(workdir)
  return 2


FAULTS = [
    bench_lib.Fault(
        'sigterm', 'SIGTERM between steps', 'saves the step, exit code 75',
        by('SIGTERM'), trials=3),
    bench_lib.Fault(
        'sigint', 'SIGINT (Ctrl-C) between steps',
        'saves the step, exit code 75', by('SIGINT'), trials=3),
    bench_lib.Fault(
        'stop', 'touch WORKDIR/STOP', 'saves the step, exit code 75',
        by('STOP'), trials=3),
    bench_lib.Fault(
        'signal_start', 'SIGTERM, SIGINT before there is anything to save',
        'ends at once, exit code 75 or 130; continues, bit for bit',
        each(before('SIGTERM', bench_lib.SAVED), before('SIGINT', 130))),
    bench_lib.Fault(
        'signal_compilation', 'SIGTERM, SIGINT during compilation',
        'saves the step, exit code 75',
        each(by('SIGTERM', 'compilation'), by('SIGINT', 'compilation'))),
    bench_lib.Fault(
        'signal_evaluation', 'SIGTERM, SIGINT during an evaluation',
        'saves the step, exit code 75',
        each(by('SIGTERM', 'evaluation'), by('SIGINT', 'evaluation'))),
    bench_lib.Fault(
        'signal_save', 'SIGTERM, SIGINT during a save',
        'saves the step, exit code 75',
        each(by('SIGTERM', 'save'), by('SIGINT', 'save'))),
    bench_lib.Fault(
        'signal_twice', 'a second signal',
        'ends at once, exit code 128 + signal',
        each(twice('SIGTERM'), twice('SIGINT'))),
    bench_lib.Fault(
        'hang', 'a batch that never comes',
        'watchdog: all stacks, exit code 70', hanging),
    bench_lib.Fault(
        'second_writer', 'a second run in the same directory',
        'refused, exit code 2; the first continues', second_writer),
    bench_lib.Fault(
        'takeover', 'a second run with --takeover',
        'continues, bit for bit; the first stops', takeover),
    bench_lib.Fault(
        'stale_lock', 'the lock of a dead process, of another host',
        'reclaimed; refused without --takeover', stale_lock),
]
