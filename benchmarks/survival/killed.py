"""Trials of runs that are killed and started again with the same command."""
import signal
import time

from lmjax.testing import commands
from lmjax.testing import faults
from survival import bench as bench_lib

KILLS = 8
APART = (1, 6)  # Steps between kills; eight kills fit into a run of 80 steps.
LATE_S = 0.02
MICROBATCHES = '--config.training.microbatches=2'
WORKERS = '--config.training.workers=3'
BFLOAT16 = '--config.model.dtype=bfloat16'
WITHOUT_DROPOUT = tuple(f'--config.model.{part}=0.0' for part in (
    'embed.dropout', 'block.dropout', 'block.mixer.dropout'))
DEVICES = (1, 4, 2, 8)
_TOLERANCE = 1e-5  # Relative, of losses on another number of devices.


def at_random(bench, rng, *flags, kills=KILLS):
  """Sends SIGKILL at random points, `kills` times."""
  workdir = bench.fresh('killed')
  faults.run_with_kills(
      bench.command(workdir, *flags), bench_lib.metrics(workdir), rng,
      kills=kills, apart=APART, delay_s=LATE_S, env=bench.environment)
  bench.same(workdir, *flags)
  return kills


def while_saving(bench, rng, kills=KILLS):
  """Sends SIGKILL while files of a checkpoint are being written."""
  workdir = bench.fresh('killed')
  for _ in range(kills):
    before = max(bench_lib.steps(workdir), default=0)
    with bench.started(workdir) as process:
      assert process.wait_until(bench_lib.saving(
          workdir, before + int(rng.integers(1, 6)))), process.output()
      time.sleep(rng.uniform(0, LATE_S))
      process.send(signal.SIGKILL)
      process.wait()
  bench.run(workdir)
  bench.same(workdir)
  left = [path.name for path in (workdir / 'checkpoints').iterdir()
          if '.' in path.name]
  assert not left, f'Left behind: {left}.'
  return kills


def while_starting(bench, rng, kills=4):
  """Sends SIGKILL before the first step, as during imports or compilation."""
  workdir = bench.fresh('killed')
  for _ in range(kills):
    faults.kill_at_step(
        bench.command(workdir), 0, lambda: 0, env=bench.environment,
        delay_s=float(rng.uniform(0.5, 4)))
  bench.run(workdir)
  bench.same(workdir)
  return kills


def on_other_devices(bench, rng):
  """Sends SIGKILL and starts again on another number of devices."""
  workdir, flags = bench.fresh('killed'), (
      '--parallel=pmap', *WITHOUT_DROPOUT)
  for count in DEVICES:
    now = commands.last_step(bench_lib.metrics(workdir))
    ended = faults.kill_at_step(
        bench.command(workdir, *flags), now + int(rng.integers(6, 12)),
        bench_lib.metrics(workdir), env=bench.environment | devices(count))
    assert ended.returncode == -signal.SIGKILL, ended.output[-4000:]
  bench.run(workdir, *flags, **devices(1))
  whole = bench.whole(*flags)
  got, want = ([row for row in bench_lib.rows(path) if 'loss' in row]
               for path in (workdir, whole))
  assert len(got) == len(want) == bench_lib.STEPS
  for one, other in zip(got, want):
    for name in 'step', 'batch', 'tokens':
      assert one[name] == other[name], f'Row {one} instead of {other}.'
    apart = abs(one['loss'] - other['loss']) / other['loss']
    assert apart <= _TOLERANCE, (
        f'Step {one["step"]}: losses are {apart:.1e} apart.')
  return len(DEVICES)


def devices(count):
  """Returns the environment variables for a number of CPU devices."""
  return {'XLA_FLAGS': f'--xla_force_host_platform_device_count={count}'}


def _with(*flags):
  return lambda bench, rng: at_random(bench, rng, *flags)


FAULTS = [
    bench_lib.Fault(
        'kill', 'SIGKILL at random points (packing, dropout)',
        'continues, bit for bit', at_random),
    bench_lib.Fault(
        'kill_microbatches', '... with gradient accumulation',
        'continues, bit for bit', _with(MICROBATCHES)),
    bench_lib.Fault(
        'kill_bfloat16', '... with bfloat16 compute',
        'continues, bit for bit', _with(BFLOAT16)),
    bench_lib.Fault(
        'kill_workers', '... with three threads that make batches',
        'continues, bit for bit', _with(WORKERS)),
    bench_lib.Fault(
        'kill_devices', '... and another number of devices each time',
        'continues, losses within 1e-5', on_other_devices),
    bench_lib.Fault(
        'kill_save', 'SIGKILL during a save',
        'continues, bit for bit', while_saving),
    bench_lib.Fault(
        'kill_start', 'SIGKILL before the first step',
        'continues, bit for bit', while_starting),
]
