"""Compares the speed of strided perplexity with PyTorch and the machine's peak.

  python benchmarks/evaluate.py --tokens=4609

GPT-2 (124M, random weights, float32) scores one document, each token once, in
windows of 1,024 tokens that advance by 512. Contestants take turns, each in its
own process with the same number of threads and the same allocator setting. The
script prints JSON, and writes it with --out: scored tokens per second, GFLOP/s
and their fraction of the measured matrix-product peak, and how many times
faster lmjax is than each peer. GFLOPs are counted for the blocks over whole
windows and for the output layer over scored tokens only, even if a contestant
computes more.
"""
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

CONTEXT, STRIDE = 1024, 512
PEERS = {'torch': 'torch_perplexity.py'}


def contestant(tokens: int, batch: int) -> None:
  """Serves calls of `likelihood.evaluate`, like the script `evaluate.py`."""
  import jax
  import numpy as np
  from lmjax.core import allocator
  from lmjax.evaluation import likelihood
  from lmjax.models import decoder
  from lmjax.models.presets import lookup
  from lmjax.objectives import lm

  allocator.keep_pages()
  model = lookup.named('gpt2').build()
  vocab_size = model.config.vocab_size
  score = likelihood.of_params(
      lm.Causal().scores(model), decoder.initial_params(model, 0))
  document = np.random.default_rng(0).integers(vocab_size, size=tokens)

  def work(count):
    for _ in range(count):
      found = likelihood.evaluate(
          score, [document], vocab_size=vocab_size, context=CONTEXT,
          stride=STRIDE, batch_size=batch)
      assert found.tokens == tokens  # The first token costs log(vocab_size).

  paired.serve(work, jax=jax.__version__)


def gflop(tokens: int) -> float:
  """Returns the GFLOPs to score a document of `tokens` tokens."""
  recipe = recipes.RECIPES['gpt2']
  windows = 1 + max(0, -(-(tokens - 1 - CONTEXT) // STRIDE))
  read = tokens - 1 + (windows - 1) * (CONTEXT - STRIDE)
  blocks = 24 * recipe.num_layers * recipe.width**2
  attention = 4 * recipe.num_layers * recipe.width * CONTEXT
  head = 2 * recipe.width * recipe.vocab_size
  return (read * (blocks + attention) + (tokens - 1) * head) / 1e9


def _command(name: str, tokens: int, batch: int) -> list[str]:
  """Returns the command line of a contestant."""
  if name == 'lmjax':
    return [sys.executable, __file__, '--serve', f'--tokens={tokens}',
            f'--batch={batch}']
  peer = ROOT / 'benchmarks' / 'peers' / PEERS[name]
  return [sys.executable, str(peer), str(tokens), str(CONTEXT), str(STRIDE)]


def measure(tokens: int, batch: int, names: list[str], rounds: int,
            threads: int, lock: str) -> dict[str, object]:
  """Returns the report of a race between contestants."""
  import machine
  report = {'tokens': tokens, 'context': CONTEXT, 'stride': STRIDE,
            'batch': batch, 'rounds': rounds, 'threads': threads,
            'machine': machine.describe()}
  racers = [paired.Contestant(name, _command(name, tokens, batch), threads)
            for name in names]
  for racer in racers:
    report |= racer.facts
  seconds = paired.race(racers, rounds, 1, lock)
  for racer in racers:
    racer.close()

  peak = report['machine']['float32_gemm_gflops']
  walls, processors = (
      {name: [pair[i] for pair in each] for name, each in seconds.items()}
      for i in range(2))
  for name, each in walls.items():
    median = statistics.median(each)
    report[name] = {
        'scored_tokens_per_s': round((tokens - 1) / median, 1),
        'seconds_rounds': [round(s, 2) for s in each],
        'processor_seconds': round(statistics.median(processors[name]), 2),
        'gflops': round(gflop(tokens) / median, 1),
        'share_of_float32_peak': round(gflop(tokens) / median / peak, 3),
    }
    if name != names[0]:
      for key, times in ('wall', walls), ('processor', processors):
        report[name][f'{names[0]}_is_faster_by_{key}'] = round(
            paired.ratio(times[name], times[names[0]]), 3)
  return report


def main(argv) -> None:
  del argv
  if flags.FLAGS.serve:
    contestant(flags.FLAGS.tokens, flags.FLAGS.batch)
    return
  report = measure(
      flags.FLAGS.tokens, flags.FLAGS.batch, ['lmjax', *flags.FLAGS.against],
      flags.FLAGS.rounds, flags.FLAGS.threads, flags.FLAGS.lock)
  text = json.dumps(report, indent=2)
  print(text)
  if flags.FLAGS.out:
    pathlib.Path(flags.FLAGS.out).write_text(text + '\n')


if __name__ == '__main__':
  flags.DEFINE_integer('tokens', 4609, 'Length of the document, in tokens.')
  flags.DEFINE_integer('batch', 1, 'Windows that lmjax scores at a time.')
  flags.DEFINE_list('against', ['torch'], f'Peers, from {", ".join(PEERS)}.')
  flags.DEFINE_integer('rounds', 5, 'Number of turns of each contestant.')
  flags.DEFINE_integer('threads', os.cpu_count(), 'Cores and threads of each.')
  cli.path_flag('lock', '', 'File to lock during a round.')
  cli.path_flag('out', '', 'File to write the JSON to.')
  flags.DEFINE_bool('serve', False, 'Used by this script to start itself.')
  app.run(main)
