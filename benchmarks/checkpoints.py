"""How fast a training state is hashed, verified, saved and restored.

  python benchmarks/checkpoints.py [--gigabytes=1] [--arrays=64] [--rounds=3]
      [--folder=/tmp] [--out=checkpoints.json]

Prints JSON. GB/s are those of the best round, by the clock and by processor
time (of all threads together; on a shared machine read those):

  sha256     of one large array, one thread: what hashlib gives
  describe   SHA-256 of every array
  verify     the same, compared with what was saved
  copy       how long `save` holds up training: state to host memory
  save       until the step is on disk, hashing included
  restore    reading, verifying, and the state on the device

and how much memory restoring takes at its peak, in states.
"""
from collections.abc import Callable
import hashlib
import json
import pathlib
import re
import shutil
import sys
import tempfile
import time

from absl import app
from absl import flags
from absl import logging
import jax
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lmjax.checkpoints import store
from lmjax.core import digests
from lmjax.training import step as step_lib


def make_state(gigabytes: float, arrays: int) -> step_lib.TrainState:
  """Returns a state of random parameters and two moments of each."""
  count = max(int(gigabytes * 1e9 / 4 / 3 / arrays), 1)
  draw = np.random.default_rng(0)
  params = {f'layer_{i}': {'kernel': jax.device_put(
      draw.standard_normal(count, np.float32))} for i in range(arrays)}
  moments = [jax.tree.map(lambda x: scale * x, params) for scale in (0.1, 0.01)]
  return step_lib.TrainState(
      jax.numpy.int32(1), params, tuple(moments), jax.random.key(0))


def timed(work: Callable[[], object]) -> tuple[float, float]:
  """Returns seconds by the clock and of processor time."""
  clock, processor = time.perf_counter(), time.process_time()
  work()
  return time.perf_counter() - clock, time.process_time() - processor


def peak_of(work: Callable[[], object]) -> int | None:
  """Returns the bytes of memory that `work` needs at its peak (Linux)."""
  try:
    pathlib.Path('/proc/self/clear_refs').write_text('5')  # Forget the peak.
  except OSError:
    return None
  before = _status('VmRSS')
  work()
  return _status('VmHWM') - before


def _status(name):
  text = pathlib.Path('/proc/self/status').read_text()
  return 1024 * int(re.search(rf'{name}:\s+(\d+) kB', text).group(1))


def measure(
    gigabytes: float, arrays: int, rounds: int, folder: str | None
) -> dict:
  """Returns all the rates."""
  state = jax.block_until_ready(make_state(gigabytes, arrays))
  host = jax.device_get((state.params, state.opt_state))
  size = sum(leaf.nbytes for leaf in jax.tree.leaves(host))
  one = np.ones(size, np.uint8)
  described = digests.describe(host)
  target = jax.eval_shape(lambda: state)
  times = {}
  with tempfile.TemporaryDirectory(dir=folder) as workdir:
    with store.Checkpoints(workdir, keep_last=1, keep_best=0) as saved:
      for number in range(1, rounds + 1):
        def write():
          saved.save(number, state)  # pylint: disable=cell-var-from-loop
          times.setdefault('copy', []).append(
              (time.perf_counter() - begin, time.process_time() - used))
          saved.wait()
        for name, work in {
            'sha256': lambda: hashlib.sha256(one),
            'describe': lambda: digests.describe(host),
            'verify': lambda: digests.damage(host, described), 'save': write,
            'restore': lambda: jax.block_until_ready(
                saved.restore(target).state.params)}.items():
          begin, used = time.perf_counter(), time.process_time()
          times.setdefault(name, []).append(timed(work))
      peak = peak_of(lambda: saved.restore(target))
      free = shutil.disk_usage(workdir).free
  best = {name: [round(size / min(seconds) / 1e9, 2) for seconds in zip(*rows)]
          for name, rows in times.items()}
  return {'gigabytes': round(size / 1e9, 3), 'arrays': 3 * arrays,
          'free_gigabytes': round(free / 1e9),
          'gb_per_s': {name: rate for name, (rate, _) in best.items()},
          'gb_per_processor_s': {
              name: rate for name, (_, rate) in best.items()},
          'restore_peak_in_states': peak and round(peak / size, 2)}


def main(argv) -> None:
  del argv
  logging.set_verbosity(logging.WARNING)  # Orbax tells a page for each save.
  values = flags.FLAGS
  text = json.dumps(measure(
      values.gigabytes, values.arrays, values.rounds, values.folder), indent=2)
  print(text)
  if values.out:
    pathlib.Path(values.out).write_text(text + '\n')


if __name__ == '__main__':
  flags.DEFINE_float('gigabytes', 1, 'Size of the state.', lower_bound=0)
  flags.DEFINE_integer('arrays', 64, 'Parameters in it.', lower_bound=1)
  flags.DEFINE_integer('rounds', 3, 'How often each is timed.', lower_bound=1)
  flags.DEFINE_string('folder', None, 'On whose disk; None: the temporary one.')
  flags.DEFINE_string('out', None, 'File to write the JSON to.')
  app.run(main)
