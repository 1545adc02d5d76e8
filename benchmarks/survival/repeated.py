"""Trials of rollbacks that skip batches, and of steps that run again."""
import signal
import subprocess
import sys
import time

from survival import bench as bench_lib

SKIPPED = 6


def rolled_back(bench, rng):
  """Rolls a run back, skips batches, and kills it once."""
  workdir = bench.half()
  kept = bench_lib.steps(workdir)
  done = subprocess.run(
      [sys.executable, str(bench_lib.ROOT / 'experiments/rollback.py'),
       f'--workdir={workdir}', f'--to_step={kept[0]}',
       f'--skip_batches={SKIPPED}'],
      env=bench.environment, capture_output=True, text=True, check=False,
      timeout=bench_lib.PATIENCE_S)
  assert done.returncode == 0, done.stderr
  moved = [path.name for path in workdir.glob('rolled_back/**/*')]
  assert set(map(str, kept[1:])) <= {*moved}, f'Moved aside: {moved}.'
  assert bench_lib.steps(workdir) == kept[:1]

  with bench.started(workdir) as process:
    assert process.wait_until(
        lambda: bench_lib.steps(workdir)[-1] > kept[0], bench_lib.PATIENCE_S
    ), f'Nothing is saved after a rollback:\n{process.output()[-4000:]}'
    time.sleep(rng.uniform(0, 0.1))
    process.send(signal.SIGKILL)
    process.wait()
  bench.run(workdir)
  got, want = ([row['batch'] for row in bench_lib.rows(path) if 'batch' in row]
               for path in (workdir, bench.whole()))
  right = want[:kept[0]] + want[kept[0] + SKIPPED:]
  assert got[:len(right)] == right and len(got) == bench_lib.STEPS, (
      f'The batches {got} instead of {right}.')
  return 1


def replayed(bench, rng, trials=2):
  """Runs a step of a finished run again with --replay_step."""
  whole = bench.whole()
  for _ in range(trials):
    step = int(rng.integers(1, bench_lib.STEPS + 1))
    with bench_lib.untouched(whole):
      ended = bench.run(whole, f'--replay_step={step}', says=['documents'])
    row, = [row for row in bench_lib.rows(whole)
            if row['step'] == step and 'loss' in row]
    compared = [line for line in ended.output.splitlines() if 'same' in line]
    assert len(compared) == 3 and row['batch'] in compared[-1], (
        ended.output[-3000:])
  return trials


FAULTS = [
    bench_lib.Fault(
        'rollback', 'rolled back past batches, and SIGKILL',
        'never sees them, saves again', rolled_back),
    bench_lib.Fault(
        'replay', 'a step run again (--replay_step)',
        'its batch, loss and gradient, bit for bit', replayed),
]
