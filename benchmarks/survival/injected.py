"""Runs a script with faults in its data.

  python injected.py nan=3,4 hang=9 hold=5:FILE pretrain.py --workdir=...

`nan` names steps (from 0) whose batch has NaN weights, and `hang` steps whose
batch never arrives. The batch of step `hold` does not arrive while FILE exists.
"""
import pathlib
import runpy
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from lmjax.data import pipeline
from lmjax.testing import faults


def inject(nan=(), hang=(), hold=()) -> None:
  """Patches the batches of all runs in this process with the faults."""
  whole = pipeline.Batches.__call__

  def batch(self, step):
    gates = [pathlib.Path(path) for held, path in hold if held == step]
    while step in hang or any(gate.exists() for gate in gates):
      time.sleep(0.01)
    return faults.inject_nan(lambda s: whole(self, s), nan)(step)

  pipeline.Batches.__call__ = batch


def main(argv) -> None:
  wanted = {}
  while '=' in argv[0]:
    name, _, value = argv.pop(0).partition('=')
    if name == 'hold':
      step, _, path = value.partition(':')
      wanted.setdefault(name, []).append((int(step), path))
    else:
      wanted[name] = {int(step) for step in value.split(',')}
  inject(**wanted)
  sys.argv = argv
  sys.path[0] = str(pathlib.Path(argv[0]).parent)
  runpy.run_path(argv[0], run_name='__main__')


if __name__ == '__main__':
  main(sys.argv[1:])
