"""Measures the cost of guards and digests in a training step.

  python benchmarks/overhead.py --recipe=char --rounds=15

Two loops take turns in one process, so that both have the same memory and
threads. One makes steps like a run: bad steps are skipped on the device and
detected on the host, each batch is digested, and signals and the watchdog are
checked. The other makes the same steps without any of this. The script prints
JSON with milliseconds per step, and the median ratio over rounds, in wall and
in processor time.
"""
from collections.abc import Callable
import contextlib
import functools
import json
import pathlib
import statistics
import sys
import time

from absl import app
from absl import flags
import jax

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

from lmjax.core import allocator
from lmjax.core import digests
from lmjax.parallel import strategy as strategy_lib
from lmjax.run import signals
from lmjax.run import watchdog
from lmjax.training import guard
from lmjax.training import log
from lmjax.training import step
from lmjax.training import stopping
from lmjax.training import throughput
import recipes
import train


class Trusting(guard.Guard):
  """Accepts every step, so that the compiler can remove the guard."""

  def judge(self, loss, grad_norm, memory):
    return True, memory


def steps(recipe: recipes.Recipe, rule: guard.Guard,
          digest: Callable[..., str], dog: watchdog.Watchdog,
          requested: Callable[[], str | None]) -> Callable[[int], None]:
  """Returns a function that makes a number of steps like `loop.fit`."""
  model, objective, optimizer, batches = train.parts(recipe, 'float32')
  strategy = strategy_lib.Jit()
  update = strategy.compile(functools.partial(
      step.train_step, objective=objective, optimizer=optimizer, guard=rule))
  state = strategy.place(step.init_state(
      model.init(jax.random.key(0), batches[0]['inputs'])['params'],
      optimizer, 0))
  rows, made = log.Log(
      strategy, throughput.Meter(strategy.devices), stopping.Progress(), (),
      guard=rule), 0

  def work(count):
    nonlocal state, made
    for _ in range(count):
      with dog.watching('the batch'):
        batch = batches[made % len(batches)]
        name, batch = digest(batch), strategy.shard(batch)
      with dog.watching('the step'):
        state, metrics = update(state, batch)
        rows.flush()
        made += 1
        rows.add(made, name, metrics)
      requested()
    rows.cut()
    rows.flush()
    jax.block_until_ready(state)

  return work


def measure(recipe: str, rounds: int, count: int) -> dict[str, object]:
  """Returns the report of the two loops, which take turns."""
  allocator.keep_pages()
  seconds = {'protected': [], 'plain': []}
  with contextlib.ExitStack() as stack:
    dog = stack.enter_context(watchdog.Watchdog(3600))
    interrupts = stack.enter_context(signals.watched('STOP'))
    loops = {
        'protected': steps(recipes.RECIPES[recipe], guard.Guard(),
                           digests.batch, dog, interrupts.requested),
        'plain': steps(recipes.RECIPES[recipe], Trusting(), lambda batch: '',
                       watchdog.Watchdog(None), lambda: None)}
    for loop in loops.values():
      loop(2)
    for _ in range(rounds):
      for name, loop in loops.items():
        begun = time.perf_counter(), time.process_time()
        loop(count)
        seconds[name].append((time.perf_counter() - begun[0],
                              time.process_time() - begun[1]))

  report = {'recipe': recipe, 'rounds': rounds, 'steps_a_turn': count}
  for i, kind in enumerate(('wall', 'processor')):
    times = {name: [pair[i] / count for pair in each]
             for name, each in seconds.items()}
    report[f'{kind}_ms_a_step'] = {
        name: round(1e3 * statistics.median(each), 3)
        for name, each in times.items()}
    report[f'{kind}_ratio'] = round(statistics.median(
        a / b for a, b in zip(times['protected'], times['plain'])), 4)
  return report


def main(argv) -> None:
  del argv
  options = flags.FLAGS
  print(json.dumps(measure(
      options.recipe, options.rounds, options.steps), indent=2))


if __name__ == '__main__':
  flags.DEFINE_enum('recipe', 'char', ['char', 'char384', 'gpt2'],
                    'Recipe to train.')
  flags.DEFINE_integer('rounds', 15, 'Number of turns of each loop.')
  flags.DEFINE_integer('steps', 20, 'Number of steps per turn.')
  app.run(main)
