"""Compares the speed of training with PyTorch and the machine's peak.

  python benchmarks/train.py --recipe=char --rounds=7

Contestants take turns, each in its own process with the same number of threads
and the same allocator setting. The script prints JSON, and writes it with
--out: milliseconds per step, tokens per second, GFLOP/s and their fraction of
the measured matrix-product peak, and how many times faster lmjax is than each
peer.
"""
import functools
import json
import os
import pathlib
import statistics
import sys

from absl import app
from absl import flags
from lmjax.core import cli

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

import paired
import recipes

PEERS = ('eager', 'compile', 'eager-bfloat16', 'compile-bfloat16')


def gpt(recipe: recipes.Recipe):
  """Returns the configs of model, objective and optimizer of a decoder."""
  from lmjax.models.presets import decoders
  from lmjax.objectives import lm
  from lmjax.training.optimizers import adamw
  return (
      decoders.gpt2(recipe.width, recipe.num_layers, recipe.num_heads,
                   vocab_size=recipe.vocab_size, context=recipe.length),
      lm.Causal(), adamw.AdamW(
          learning_rate=recipe.learning_rate, b1=recipe.b1, b2=recipe.b2,
          weight_decay=recipe.weight_decay, clip_norm=recipe.clip_norm))


def lstm(recipe: recipes.Recurrent):
  """Returns the configs of model, objective and optimizer of an LSTM."""
  from lmjax.models import lstm as lstm_lib
  from lmjax.nn import recurrent
  from lmjax.objectives import truncated
  from lmjax.training.optimizers import sgd
  return (
      lstm_lib.RecurrentConfig(
          vocab_size=recipe.vocab_size, width=recipe.width,
          num_layers=recipe.num_layers,
          cell=recurrent.LSTMConfig(recipe.width)),
      truncated.TruncatedBPTT(), sgd.SGD(
          learning_rate=recipe.learning_rate, momentum=0.0,
          clip_norm=recipe.clip_norm))


CONFIGS = {recipes.Recipe: gpt, recipes.Recurrent: lstm}


def parts(recipe: recipes.Recipe | recipes.Recurrent, dtype: str):
  """Returns model, objective, optimizer and four batches of a recipe."""
  import dataclasses
  import numpy as np
  from lmjax.models import cost
  config, objective, optimizer = CONFIGS[type(recipe)](recipe)
  config = dataclasses.replace(config, dtype=dtype)
  model = config.build()
  ones = np.ones((recipe.batch, recipe.length), np.int32)
  batches = [{
      'inputs': rows[:, :-1], 'targets': rows[:, 1:], 'segments': ones,
      'positions': np.cumsum(ones, axis=1, dtype=np.int32) - 1,
      'weights': ones.astype(np.float32),
  } for rows in map(recipe.rows, range(4))]
  return (model, objective.build(model),
          optimizer.build(cost.shapes(config), steps=1000), batches)


def contestant(recipe: recipes.Recipe | recipes.Recurrent, dtype: str) -> None:
  """Serves training steps, with the real objective and optimizer."""
  import jax
  from lmjax.core import allocator
  from lmjax.parallel import strategy as strategy_lib
  from lmjax.training import step

  allocator.keep_pages()
  model, objective, optimizer, batches = parts(recipe, dtype)
  _, config, _ = CONFIGS[type(recipe)](recipe)
  carry = getattr(config, 'carry', lambda model, rows: None)
  strategy = strategy_lib.Jit()
  update = strategy.compile(functools.partial(
      step.train_step, objective=objective, optimizer=optimizer))
  state = strategy.place(step.init_state(
      model.init(jax.random.key(0), batches[0]['inputs'])['params'],
      optimizer, 0, carry=carry(model, recipe.batch)))

  def work(count):
    nonlocal state
    for i in range(count):
      state, metrics = update(state, strategy.shard(batches[i % len(batches)]))
    jax.block_until_ready((state, metrics))

  paired.serve(work, jax=jax.__version__)


def _command(recipe: str, name: str) -> list[str]:
  """Returns the command line of a contestant."""
  side, _, dtype = name.partition('-')
  dtype = dtype or 'float32'
  if side == 'lmjax':
    return [sys.executable, __file__, f'--serve={dtype}', f'--recipe={recipe}']
  peer = ROOT / 'benchmarks' / 'peers' / recipes.RECIPES[recipe].peer
  return [sys.executable, str(peer), recipe, side, dtype]


def measure(recipe_name: str, names: list[str], rounds: int, count: int,
            threads: int, lock: str) -> dict[str, object]:
  """Returns the report of a race between contestants."""
  import machine
  report = {'recipe': recipe_name, 'rounds': rounds, 'steps_a_round': count,
            'threads': threads, 'machine': machine.describe()}
  recipe = recipes.RECIPES[recipe_name]
  racers = [paired.Contestant(name, _command(recipe_name, name), threads)
            for name in names]
  for racer in racers:
    report |= racer.facts
  seconds = paired.race(racers, rounds, count, lock)
  for racer in racers:
    racer.close()

  peak = report['machine']['float32_gemm_gflops']
  gflop = recipe.tokens * recipe.flops_per_token / 1e9
  walls, processors = (
      {name: [pair[i] for pair in each] for name, each in seconds.items()}
      for i in range(2))
  for name, each in walls.items():
    median = statistics.median(each)
    report[name] = {
        'ms_per_step': round(1e3 * median, 2),
        'ms_per_step_rounds': [round(1e3 * s, 2) for s in each],
        'processor_ms_per_step': round(
            1e3 * statistics.median(processors[name]), 2),
        'tokens_per_s': round(recipe.tokens / median),
        'gflops': round(gflop / median, 1),
        'share_of_float32_peak': round(gflop / median / peak, 3),
    }
    if name != names[0]:
      for key, times in ('wall', walls), ('processor', processors):
        report[name][f'{names[0]}_is_faster_by_{key}'] = round(
            paired.ratio(times[name], times[names[0]]), 3)
  return report


def main(argv) -> None:
  del argv
  if flags.FLAGS.serve:
    contestant(recipes.RECIPES[flags.FLAGS.recipe], flags.FLAGS.serve)
    return
  report = measure(
      flags.FLAGS.recipe, ['lmjax', *flags.FLAGS.against], flags.FLAGS.rounds,
      flags.FLAGS.steps, flags.FLAGS.threads, flags.FLAGS.lock)
  text = json.dumps(report, indent=2)
  print(text)
  if flags.FLAGS.out:
    pathlib.Path(flags.FLAGS.out).write_text(text + '\n')


if __name__ == '__main__':
  flags.DEFINE_enum('recipe', 'char', list(recipes.RECIPES), 'Recipe to train.')
  flags.DEFINE_list('against', ['eager', 'compile'],
                    f'Peers, from {", ".join(PEERS)} and lmjax-bfloat16.')
  flags.DEFINE_integer('rounds', 7, 'Number of turns of each contestant.')
  flags.DEFINE_integer('steps', 20, 'Number of steps per turn.')
  flags.DEFINE_integer('threads', os.cpu_count(), 'Cores and threads of each.')
  cli.path_flag('lock', '', 'File to lock during a round.')
  cli.path_flag('out', '', 'File to write the JSON to.')
  flags.DEFINE_string('serve', '', 'Used by this script to start itself.')
  app.run(main)
