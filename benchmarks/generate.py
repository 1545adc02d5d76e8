"""Compares the speed of greedy generation with PyTorch and memory bandwidth.

  python benchmarks/generate.py --batch=1 --against=torch,hf

GPT-2 (124M, random weights, float32) continues prompts of 32 tokens by 128
tokens. Contestants take turns, each in its own process with the same number of
threads and the same allocator setting. The script prints JSON, and writes it
with --out: tokens per second; the GB/s of parameters read, if all are read once
per token of the batch; its fraction of the measured read bandwidth; and how
many times faster lmjax is than each peer, in wall and in processor time.
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

PROMPT, NEW = 32, 128
PEERS = {'torch': 'torch_decode.py', 'hf': 'hf_decode.py'}


def contestant(batch: int) -> None:
  """Serves calls of `sample.generate`, as a user would make them."""
  import jax
  import numpy as np
  from lmjax.core import trees
  from lmjax.generation import sample
  from lmjax.generation import transforms
  from lmjax.models import decoder
  from lmjax.models.presets import lookup

  model = lookup.named('gpt2').build()
  params = decoder.initial_params(model, 0)
  prompts = np.random.default_rng(0).integers(
      model.config.vocab_size, size=(batch, PROMPT))

  def work(count):
    for _ in range(count):
      result = sample.generate(
          model, params, prompts, max_new_tokens=NEW,
          sampling=transforms.Sampling(temperature=0))
      assert all(len(tokens) == NEW for tokens in result.tokens)

  paired.serve(work, jax=jax.__version__, parameters=trees.count(params))


def _command(name: str, batch: int) -> list[str]:
  """Returns the command line of a contestant."""
  if name == 'lmjax':
    return [sys.executable, __file__, '--serve', f'--batch={batch}']
  peer = ROOT / 'benchmarks' / 'peers' / PEERS[name]
  return [sys.executable, str(peer), str(batch), str(PROMPT), str(NEW)]


def measure(batch: int, names: list[str], rounds: int, threads: int, lock: str
            ) -> dict[str, object]:
  """Returns the report of a race between contestants."""
  import machine
  report = {'batch': batch, 'prompt': PROMPT, 'new_tokens': NEW,
            'rounds': rounds, 'threads': threads,
            'machine': machine.describe()}
  racers = [paired.Contestant(name, _command(name, batch), threads)
            for name in names]
  for racer in racers:
    report |= racer.facts
  pairs = paired.race(racers, rounds, 1, lock)
  for racer in racers:
    racer.close()

  gbytes = 4 * report['parameters'] / 1e9
  seconds, processors = (
      {name: [pair[i] for pair in each] for name, each in pairs.items()}
      for i in range(2))
  for name, each in seconds.items():
    median = statistics.median(each)
    read = gbytes * NEW / median
    report[name] = {
        'tokens_per_s': round(batch * NEW / median, 1),
        'seconds_rounds': [round(s, 2) for s in each],
        'processor_seconds': round(statistics.median(processors[name]), 2),
        'read_gbytes_per_s': round(read, 1),
        'share_of_read_bandwidth': round(
            read / report['machine']['read_gbytes_per_s'], 3),
    }
    if name != names[0]:
      report[name][f'{names[0]}_is_faster_by'] = round(
          paired.ratio(each, seconds[names[0]]), 3)
      report[name][f'{names[0]}_spends_less_by'] = round(
          paired.ratio(processors[name], processors[names[0]]), 3)
  return report


def main(argv) -> None:
  del argv
  if flags.FLAGS.serve:
    contestant(flags.FLAGS.batch)
    return
  report = measure(
      flags.FLAGS.batch, ['lmjax', *flags.FLAGS.against], flags.FLAGS.rounds,
      flags.FLAGS.threads, flags.FLAGS.lock)
  text = json.dumps(report, indent=2)
  print(text)
  if flags.FLAGS.out:
    pathlib.Path(flags.FLAGS.out).write_text(text + '\n')


if __name__ == '__main__':
  flags.DEFINE_integer('batch', 1, 'Number of prompts at a time.')
  flags.DEFINE_list('against', ['torch'], f'Peers, from {", ".join(PEERS)}.')
  flags.DEFINE_integer('rounds', 5, 'Number of turns of each contestant.')
  flags.DEFINE_integer('threads', os.cpu_count(), 'Cores and threads of each.')
  cli.path_flag('lock', '', 'File to lock during a round.')
  cli.path_flag('out', '', 'File to write the JSON to.')
  flags.DEFINE_bool('serve', False, 'Used by this script to start itself.')
  app.run(main)
