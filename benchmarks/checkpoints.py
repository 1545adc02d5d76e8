"""Measures how fast a training state is hashed, verified, saved and restored.

  python benchmarks/checkpoints.py [--gigabytes=1] [--arrays=64] [--rounds=3]
      [--folder=/tmp] [--out=checkpoints.json]

It prints JSON with the GB/s of the best round, in wall time and in processor
time (of all threads; use this on a shared machine), of

  sha256     hashing one large array with hashlib, in one thread
  describe   hashing every array
  verify     hashing every array and comparing with the saved digests
  copy       copying the state to host memory, while `save` blocks training
  save       saving until the step is on disk, including hashing
  sync       the part of it in which the disk is waited for
  read_back  the part of it in which the step is read back and verified
  restore    reading and verifying, until the state is on the device

and the peak memory of reading back and of restoring, in multiples of the
state's size.
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
from typing import Any
from unittest import mock

from absl import app
from absl import flags
from absl import logging
import jax
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lmjax.core import cli
from lmjax.checkpoints import reading
from lmjax.checkpoints import store
from lmjax.core import digests
from lmjax.core.files import durable
from lmjax.training import step as step_lib


def make_state(gigabytes: float, arrays: int) -> step_lib.TrainState:
  """Returns a state of random parameters with two moments of each."""
  count = max(int(gigabytes * 1e9 / 4 / 3 / arrays), 1)
  draw = np.random.default_rng(0)
  params = {f'layer_{i}': {'kernel': jax.device_put(
      draw.standard_normal(count, np.float32))} for i in range(arrays)}
  moments = [jax.tree.map(lambda x: scale * x, params) for scale in (0.1, 0.01)]
  return step_lib.TrainState(
      jax.numpy.int32(1), params, tuple(moments), jax.random.key(0))


def timed(work: Callable[[], object]) -> tuple[float, float]:
  """Returns the seconds of wall time and of processor time."""
  clock, processor = time.perf_counter(), time.process_time()
  work()
  return time.perf_counter() - clock, time.process_time() - processor


def watched(module: Any, name: str, rows: list[tuple[float, float]]) -> Any:
  """Returns a patch of a function that appends what `timed` says of its calls.
  """
  function = getattr(module, name)
  return mock.patch.object(
      module, name, lambda *args: rows.append(timed(lambda: function(*args))))


def peak_of(work: Callable[[], object]) -> int | None:
  """Returns the peak memory of `work` in bytes; None if not on Linux."""
  try:
    pathlib.Path('/proc/self/clear_refs').write_text('5')  # Resets the peak.
  except OSError:
    return None
  before = _status('VmRSS')
  work()
  return max(_status('VmHWM') - before, 0)


def _status(name):
  text = pathlib.Path('/proc/self/status').read_text()
  return 1024 * int(re.search(rf'{name}:\s+(\d+) kB', text).group(1))


def measure(
    gigabytes: float, arrays: int, rounds: int, folder: str | None
) -> dict:
  """Returns the report, with all rates."""
  state = jax.block_until_ready(make_state(gigabytes, arrays))
  host = jax.device_get((state.params, state.opt_state))
  size = sum(leaf.nbytes for leaf in jax.tree.leaves(host))
  one = np.ones(size, np.uint8)
  described = digests.describe(host)
  target = jax.eval_shape(lambda: state)
  times = {'sync': [], 'read_back': []}
  with tempfile.TemporaryDirectory(dir=folder) as workdir:
    with store.Checkpoints(workdir, keep_last=1, keep_best=0) as saved:
      for number in range(1, rounds + 1):
        def write():
          with watched(durable, 'sync_tree', times['sync']), watched(
              reading, 'verify', times['read_back']):
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
      peaks = {'read_back': peak_of(lambda: reading.verify(
          pathlib.Path(workdir), rounds)),
               'restore': peak_of(lambda: saved.restore(target))}
      free = shutil.disk_usage(workdir).free
  best = {name: [round(size / min(seconds) / 1e9, 2) for seconds in zip(*rows)]
          for name, rows in times.items()}
  return {'gigabytes': round(size / 1e9, 3), 'arrays': 3 * arrays,
          'free_gigabytes': round(free / 1e9),
          'gb_per_s': {name: rate for name, (rate, _) in best.items()},
          'gb_per_processor_s': {
              name: rate for name, (_, rate) in best.items()},
          'peak_in_states': {name: peak and round(peak / size, 2)
                             for name, peak in peaks.items()}}


def main(argv) -> None:
  del argv
  logging.set_verbosity(logging.WARNING)  # Orbax logs a page for each save.
  values = flags.FLAGS
  text = json.dumps(measure(
      values.gigabytes, values.arrays, values.rounds, values.folder), indent=2)
  print(text)
  if values.out:
    pathlib.Path(values.out).write_text(text + '\n')


if __name__ == '__main__':
  flags.DEFINE_float('gigabytes', 1, 'Size of the state in GB.', lower_bound=0)
  flags.DEFINE_integer('arrays', 64, 'Number of parameters.', lower_bound=1)
  flags.DEFINE_integer('rounds', 3, 'Number of timings of each.', lower_bound=1)
  cli.path_flag(
      'folder', None, 'Folder to write in; a temporary one by default.')
  cli.path_flag('out', None, 'File to write the JSON to.')
  app.run(main)
