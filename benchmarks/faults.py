"""Injects faults into runs of the real script and counts wrong results.

  python benchmarks/faults.py [--only=kill,sigterm] [--trials=10] [--out=x.md]

The script prints a table, and writes it with --out: each fault, the response of
the run, the number of trials, and the number of wrong results. A result is
right if the state and the rows equal the uninterrupted run's bit for bit, or if
the run is refused with the documented exit code. Wrong results are printed in
full, and the exit code is then 1.
"""
from collections.abc import Sequence
import concurrent.futures
import os
import pathlib
import shutil
import sys
import tempfile
import time

from absl import app
from absl import flags
from lmjax.core import cli
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

from survival import bench as bench_lib
from survival import damaged
from survival import killed
from survival import refused
from survival import repeated
from survival import stopped

FAULTS = [
    *killed.FAULTS, *stopped.FAULTS, *damaged.FAULTS, *refused.FAULTS,
    *repeated.FAULTS]


def trial(fault: bench_lib.Fault, bench: bench_lib.Bench, seed: int
          ) -> tuple[int, str | None]:
  """Makes one trial; returns its number of faults, and its error or None."""
  rng = np.random.default_rng([seed, *fault.name.encode()])
  begin = time.monotonic()
  try:
    count, wrong = fault.run(bench, rng), None
  except Exception as error:  # Any exception is a wrong result.
    count, wrong = 1, f'{fault.name}, seed {seed}: {error!s}'
  print(f'{fault.name} {seed}: {"WRONG" if wrong else "right"}, '
        f'{time.monotonic() - begin:.0f} s', *filter(None, [wrong]), sep='\n',
        file=sys.stderr, flush=True)
  return count, wrong


def table(faults: Sequence[bench_lib.Fault],
          results: dict[str, list[tuple[int, str | None]]]) -> str:
  """Returns a Markdown table with a line for each fault."""
  lines = ['| fault | what the run does | trials | wrong results |',
           '|---|---|---|---|']
  for fault in faults:
    made = results[fault.name]
    wrong = sum(told is not None for _, told in made)
    lines.append(f'| {fault.fault} | {fault.answer} | '
                 f'{sum(count for count, _ in made)} | {wrong} |')
  return '\n'.join(lines) + '\n'


def chosen(only: Sequence[str]) -> list[bench_lib.Fault]:
  """Returns the faults with these names, or all if `only` is empty."""
  names = [fault.name for fault in FAULTS]
  for name in only:
    if name not in names:
      raise app.UsageError(f'There is no fault {name!r}; choose from {names}.')
  return [fault for fault in FAULTS if not only or fault.name in only]


def main(argv) -> None:
  del argv
  options = flags.FLAGS
  faults = chosen(options.only)
  folder = pathlib.Path(options.folder or tempfile.mkdtemp(prefix='faults-'))
  folder.mkdir(parents=True, exist_ok=True)
  bench = bench_lib.Bench(folder)
  begin = time.monotonic()
  with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
    made = {fault.name: [
        pool.submit(trial, fault, bench, options.seed + number)
        for number in range(options.trials or fault.trials)]
            for fault in faults}
  results = {name: [future.result() for future in futures]
             for name, futures in made.items()}
  text = table(faults, results)
  wrong = any(told for found in results.values() for _, told in found)
  print(f'{text}\n{time.monotonic() - begin:.0f} s with {options.jobs} jobs.')
  if options.out:
    pathlib.Path(options.out).write_text(text)
  if not options.folder and not wrong:
    shutil.rmtree(folder)
  else:
    print(f'The runs are in {folder}.')
  sys.exit(1 if wrong else 0)


if __name__ == '__main__':
  flags.DEFINE_list('only', [], 'Names of faults; all by default.')
  flags.DEFINE_integer('trials', None, 'Number of trials of each fault; by '
                       'default its own.')
  flags.DEFINE_integer('jobs', len(os.sched_getaffinity(0)),
                       'Number of trials at a time.')
  flags.DEFINE_integer('seed', 0, 'Seed of the first trial of each fault.')
  cli.path_flag('folder', None, 'Folder in which to keep the runs.')
  cli.path_flag('out', None, 'File to write the table to.')
  app.run(main)
