"""What guards and digests cost a training step.

  python benchmarks/overhead.py --recipe=char --rounds=15

Two contestants take turns, each in a process of its own: steps as a run makes
them (bad steps left out on the device and looked for on the host, each batch
digested, signals and watchdog consulted) and the same steps with nothing of it.
Prints JSON: milliseconds of each and the median over rounds of their quotient.
"""
import contextlib
import functools
import json
import os
import pathlib
import statistics
import sys

from absl import app
from absl import flags

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

import paired
import recipes
import train


def contestant(recipe: recipes.Recipe, protected: bool) -> None:
  """Serves steps of `loop.fit`'s kind, with or without its protections."""
  import jax
  from lmjax.core import allocator
  from lmjax.training import digests
  from lmjax.training import guard
  from lmjax.training import log
  from lmjax.training import parallel
  from lmjax.training import signals
  from lmjax.training import step
  from lmjax.training import stopping
  from lmjax.training import throughput
  from lmjax.training import watchdog

  class Trusting(guard.Guard):
    """Finds every step good, which the compiler then knows."""

    def judge(self, loss, grad_norm, memory):
      return True, memory

  allocator.keep_pages()
  rule = guard.Guard() if protected else Trusting()
  digest = digests.batch if protected else lambda batch: ''
  model, objective, optimizer, batches = train.parts(recipe, 'float32')
  strategy = parallel.Jit()
  update = strategy.compile(functools.partial(
      step.train_step, objective=objective, optimizer=optimizer, guard=rule))
  state = strategy.place(step.init_state(
      model.init(jax.random.key(0), batches[0]['inputs'])['params'],
      optimizer, 0))
  made = 0

  with contextlib.ExitStack() as stack:
    dog, requested = watchdog.Watchdog(None), lambda: None
    if protected:
      dog = stack.enter_context(watchdog.Watchdog(3600))
      requested = stack.enter_context(signals.watched('STOP')).requested
    rows = log.Log(strategy, throughput.Meter(strategy.devices),
                   stopping.Progress(), (), guard=rule)

    def work(count):
      nonlocal state, made
      for _ in range(count):
        with dog.watching('the batch'):
          batch = batches[made % len(batches)]
          found = digest(batch), strategy.shard(batch)
        with dog.watching('the step'):
          state, metrics = update(state, found[1])
          rows.flush()
          made += 1
          rows.add(made, found[0], metrics)
        requested()
      rows.cut()
      rows.flush()
      jax.block_until_ready(state)

    paired.serve(work, jax=jax.__version__)


def measure(recipe: str, rounds: int, count: int, threads: int
            ) -> dict[str, object]:
  """Returns the report of a race between the two."""
  racers = [paired.Contestant(
      name, [sys.executable, __file__, f'--serve={name}', f'--recipe={recipe}'],
      threads) for name in ('protected', 'plain')]
  seconds = paired.race(racers, rounds, count)
  for racer in racers:
    racer.close()
  report = {'recipe': recipe, 'rounds': rounds, 'steps_a_round': count,
            'threads': threads}
  for kind, i in ('wall', 0), ('processor', 1):
    times = {name: [pair[i] for pair in each]
             for name, each in seconds.items()}
    report[f'{kind}_ms_a_step'] = {
        name: round(1e3 * statistics.median(each), 3)
        for name, each in times.items()}
    report[f'{kind}_ratio'] = round(
        paired.ratio(times['protected'], times['plain']), 4)
  return report


def main(argv) -> None:
  del argv
  if flags.FLAGS.serve:
    contestant(recipes.RECIPES[flags.FLAGS.recipe],
               flags.FLAGS.serve == 'protected')
    return
  print(json.dumps(measure(
      flags.FLAGS.recipe, flags.FLAGS.rounds, flags.FLAGS.steps,
      flags.FLAGS.threads), indent=2))


if __name__ == '__main__':
  flags.DEFINE_enum('recipe', 'char', ['char', 'char384', 'gpt2'],
                    'What to train.')
  flags.DEFINE_integer('rounds', 15, 'Turns of each contestant.')
  flags.DEFINE_integer('steps', 20, 'Steps in a turn.')
  flags.DEFINE_integer('threads', os.cpu_count(), 'Cores and threads of each.')
  flags.DEFINE_enum('serve', '', ['', 'protected', 'plain'],
                    'Used by this script to start itself.')
  app.run(main)
