"""What a run survives: the real script, put through every fault.

  python benchmarks/faults.py [--only=kill,sigterm] [--trials=10] [--out=x.md]

Prints, and with --out writes, a table: the fault, what the run does, how often
it was tried, and how often the result was wrong. Right is the state and the
rows of the uninterrupted run, bit for bit, or the documented refusal with its
exit code. What was wrong is told in full, and the exit code is then 1.
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
  """Makes one trial; returns how many faults it was, and what was wrong."""
  rng = np.random.default_rng([seed, *fault.name.encode()])
  begin = time.monotonic()
  try:
    count, wrong = fault.run(bench, rng), None
  except Exception as error:  # A wrong result, whatever shape it has.
    count, wrong = 1, f'{fault.name}, seed {seed}: {error!s}'
  print(f'{fault.name} {seed}: {"WRONG" if wrong else "right"}, '
        f'{time.monotonic() - begin:.0f} s', *filter(None, [wrong]), sep='\n',
        file=sys.stderr, flush=True)
  return count, wrong


def table(faults: Sequence[bench_lib.Fault],
          results: dict[str, list[tuple[int, str | None]]]) -> str:
  """Returns Markdown, a line for each fault."""
  lines = ['| fault | what the run does | trials | wrong results |',
           '|---|---|---|---|']
  for fault in faults:
    made = results[fault.name]
    wrong = sum(told is not None for _, told in made)
    lines.append(f'| {fault.fault} | {fault.answer} | '
                 f'{sum(count for count, _ in made)} | {wrong} |')
  return '\n'.join(lines) + '\n'


def chosen(only: Sequence[str]) -> list[bench_lib.Fault]:
  """Returns the faults of these names; all for none."""
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
  flags.DEFINE_integer('trials', None, 'Of each fault, in place of its own.')
  flags.DEFINE_integer('jobs', len(os.sched_getaffinity(0)), 'At a time.')
  flags.DEFINE_integer('seed', 0, 'Of the first trial of each fault.')
  flags.DEFINE_string('folder', None, 'Keeps the runs there.')
  flags.DEFINE_string('out', None, 'File to write the table to.')
  app.run(main)
