"""Measures memory, communication and time of a step divided over devices.

  python benchmarks/scaling.py                # On 8 devices of this host's CPU.
  python benchmarks/scaling.py --platform=gpu # On all GPUs of this host.
  python benchmarks/scaling.py --compile=h100 # For 8 GPUs, without any here.

The table has a row for each strategy, for a decoder of 6 layers of width 256
with a vocabulary of 4,096. The columns are the memory of a device for
parameters and optimizer state, the additional memory of the compiled step, the
bytes that a device sends in a step (from the compiled program, and from the
formulas of `lmjax.planning.estimate`), and the time of a step. `strong` keeps
the batch as devices are added; `weak` adds rows, or tokens if the sequence is
divided.

The devices of a CPU share its cores, so that more devices do not compute
faster. To see the cost of dividing, divide a weak row's time by its devices, or
compare strong rows. Times are medians over rounds in which all strategies take
turns in one process. The script prints JSON lines, then a table. With
`--compile` nothing is timed: `lmjax.planning.compiled` compiles the steps of
meshes for the named device.
"""
from collections.abc import Callable
import dataclasses
import functools
import json
import pathlib
import statistics
import sys
import time

from absl import app
from absl import flags
import jax
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from lmjax.core import allocator
from lmjax.core import errors
from lmjax.data import pipeline
from lmjax import experiment
from lmjax.models import decoder
from lmjax.models.presets import decoders
from lmjax.nn.mixture import experts
from lmjax.objectives import lm
from lmjax.parallel import devices as devices_lib
from lmjax.parallel import mesh as mesh_lib
from lmjax.parallel import strategy as strategy_lib
from lmjax.planning import compiled as compiled_lib
from lmjax.planning import estimate
from lmjax.testing import exchanges
from lmjax.training.optimizers import adamw
from lmjax.training import options as options_lib
from lmjax.training import step as step_lib

MODEL = dataclasses.replace(
    decoders.llama(256, 6, 8, 8, 688, vocab_size=4096, context=4096), scan=True)
MIXTURE = dataclasses.replace(MODEL, scan=False, block=dataclasses.replace(
    MODEL.block, mlp=experts.MixtureOfExperts(
        hidden=344, activation='silu', gated=True, bias=False, num_experts=8,
        capacity_factor=1.25)))


@dataclasses.dataclass(frozen=True)
class Case:
  """A strategy, its number of devices, and the batch of its step."""
  name: str
  devices: int
  rows: int = 16
  length: int = 128
  microbatches: int = 1
  model: decoder.DecoderConfig = MODEL

  def strategy(self) -> strategy_lib.Strategy:
    chosen = jax.devices()[:self.devices]
    if self.name in ('jit', 'pmap'):
      return strategy_lib.PARALLEL[self.name](chosen)
    return mesh_lib.Mesh(chosen, self.name)


def cases(kind: str, most: int) -> list[Case]:
  """Returns the cases of a comparison, 'strong' or 'weak'.

  Args:
    kind: 'strong' for a constant batch, 'weak' for one that grows with devices.
    most: The largest number of devices.
  """
  if kind == 'strong':
    found = [Case('jit', 1), Case('pmap', 8), Case('data:8', 8),
             Case('fsdp:8', 8), Case('tensor:8', 8), Case('sequence:8', 8),
             Case('data:2,fsdp:2,tensor:2', 8),
             Case('fsdp:2,sequence:2,tensor:2', 8),
             Case('jit', 1, model=MIXTURE), Case('expert:8', 8, model=MIXTURE),
             Case('jit', 1, microbatches=8),
             Case('stage:2,data:4', 8, microbatches=4)]
  else:
    found = [Case('jit', 1, rows=2), Case('jit', 1, rows=1, length=512)]
    for count in (2, 4, 8):
      found += [Case(f'{axis}:{count}', count, rows=2 * count)
                for axis in ('data', 'fsdp')]
      found += [Case(f'sequence:{count}', count, rows=1, length=512 * count)]
  return [case for case in found if case.devices <= most]


class Work:
  """A compiled step with its state and batch on the devices."""

  def __init__(self, case: Case):
    self.case, self.seconds = case, []
    strategy, model = case.strategy(), case.model.build()
    params = decoder.initial_params(model, 0)
    optimizer = adamw.AdamW().build(params, 1000)
    state = step_lib.init_state(params, optimizer, 0)
    update = strategy.compile(functools.partial(
        step_lib.train_step, objective=lm.Causal().build(model),
        optimizer=optimizer), case.microbatches)
    self.state = strategy.place(state)
    self.batch = strategy.shard(_batch(case))
    self._update = update.lower(self.state, self.batch).compile()
    self.report = report(
        case, at_rest=sum(
            leaf.addressable_data(0).nbytes
            for leaf in jax.tree.leaves((self.state.params,
                                         self.state.opt_state))),
        step=self._update.memory_analysis().temp_size_in_bytes,
        text=self._update.as_text())

  def turn(self) -> None:
    """Makes a step and records its time."""
    begun = time.perf_counter()
    self.state, metrics = self._update(self.state, self.batch)
    jax.block_until_ready(metrics)
    self.seconds.append(time.perf_counter() - begun)


def report(case: Case, at_rest: int, step: int, text: str
           ) -> dict[str, object]:
  """Returns the report of a compiled step."""
  found = exchanges.of_step(text, case.devices)
  return {
      'strategy': case.name, 'devices': case.devices, 'rows': case.rows,
      'length': case.length, 'microbatches': case.microbatches,
      'at_rest_mib': _mib(at_rest), 'step_mib': _mib(step),
      'sent_mib': _mib(sum(each.sent for each in found)),
      'planned_mib': _planned(case),
      'exchanges': {kind: sum(each.times for each in found
                              if each.kind == kind)
                    for kind in exchanges.KINDS}}


def compiled(case: Case, device: str) -> dict[str, object]:
  """Returns the report of a step, compiled for devices that are not needed."""
  found = compiled_lib.compile_step(_config(case), device, mesh_lib.sharding.parse(
      _mesh(case)))
  return report(case, at_rest=found.memory['state and batch'],
                step=found.memory['all else'], text=found.text)


def _batch(case: Case) -> dict[str, np.ndarray]:
  draw, shape = np.random.default_rng(0), (case.rows, case.length)
  ids = draw.integers(0, case.model.vocab_size, (
      case.rows, case.length + 1)).astype(np.int32)
  return {'inputs': ids[:, :-1], 'targets': ids[:, 1:],
          'weights': np.ones(shape, np.float32),
          'positions': np.tile(np.arange(case.length, dtype=np.int32), (
              case.rows, 1)),
          'segments': np.ones(shape, np.int32)}


def _planned(case: Case) -> float | None:
  """Returns the MiB that a device sends by the estimate; None if unsupported.
  """
  try:
    found = estimate.plan(_config(case), devices_lib.named('h100'),
                      mesh_lib.sharding.parse(_mesh(case)))
  except errors.InputError:
    return None
  return _mib(sum(found.sent.values()))


def _config(case: Case) -> experiment.Pretrain:
  return experiment.Pretrain(
      data=pipeline.DataConfig(batch_size=case.rows, length=case.length),
      model=case.model, training=options_lib.Training(
          microbatches=case.microbatches))


def _mesh(case: Case) -> str:
  return {'jit': 'data:1', 'pmap': f'data:{case.devices}'}.get(
      case.name, case.name)


def _mib(size: float) -> float:
  return round(size / 2**20, 2)


def measure(chosen: list[Case], rounds: int, say: Callable[[str], None]
            ) -> list[dict[str, object]]:
  """Returns the reports of cases, which take turns."""
  works = [Work(case) for case in chosen]
  for _ in range(rounds + 1):  # The first turn warms up.
    for work in works:
      work.turn()
  for work in works:
    if rounds:
      work.report['step_ms'] = round(
          1e3 * statistics.median(work.seconds[1:]), 1)
    say(json.dumps(work.report))
  return [work.report for work in works]


def table(reports: list[dict[str, object]]) -> str:
  """Returns reports as a table in Markdown."""
  columns = {
      'strategy': 'strategy', 'devices': 'devices', 'batch': 'batch',
      'at_rest_mib': 'at rest, MiB', 'step_mib': 'step, MiB',
      'sent_mib': 'sent, MiB', 'planned_mib': 'planned, MiB',
      'step_ms': 'step, ms'}
  lines = [list(columns.values()), ['---'] * len(columns)]
  for report in reports:
    parts = report['microbatches']
    values = report | {'batch': f'{report["rows"]} x {report["length"]}' + (
        f' in {parts}' if parts > 1 else '')}
    lines.append(['-' if values.get(name) is None else str(values[name])
                  for name in columns])
  return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def main(argv) -> None:
  del argv
  options = flags.FLAGS
  jax.config.update('jax_platforms', options.platform)
  if options.platform == 'cpu':
    jax.config.update('jax_num_cpu_devices', options.devices)
    allocator.keep_pages()
  for kind in options.kinds:
    print(f'{kind}:')
    if options.compile:
      print(table([compiled(case, options.compile) for case in cases(kind, 8)
                   if case.name != 'pmap']))
      continue
    print(table(measure(
        cases(kind, jax.device_count()), options.rounds, print)))


if __name__ == '__main__':
  flags.DEFINE_string('platform', 'cpu', 'Platform: cpu, gpu or tpu.')
  flags.DEFINE_integer('devices', 8, 'Number of devices of a CPU.')
  flags.DEFINE_list('kinds', ['strong', 'weak'], 'Kinds of comparisons.')
  flags.DEFINE_string(
      'compile', None, 'Device to compile for instead, such as h100.')
  flags.DEFINE_integer('rounds', 5, 'Number of turns of each step; 0 for none.')
  app.run(main)
