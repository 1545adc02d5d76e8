"""Measures how fast text becomes batches, on one core.

  python benchmarks/data.py [--out=data.json]

The script prints JSON, and writes it with --out: the MB/s of text that
tokenizers learn and encode, the tokens per second that are written to a store,
and the tokens per second that are packed into batches, as medians over rounds
taken in turns.
"""
import json
import pathlib
import statistics
import sys
import tempfile
import time

from absl import app
from absl import flags
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lmjax.core import cli
from lmjax.data import packing
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data import token_store as store_lib
from lmjax.data.tokenizers import subwords
from lmjax.data.tokenizers import symbols

TOKENIZERS = {
    'bytes': symbols.Bytes(),
    'characters': symbols.Characters(),
    'unigram': subwords.SentencePiece(4096, 'unigram'),
    'bpe': subwords.SentencePiece(4096, 'bpe')}
PACKINGS = {
    'packed': packing.Packed(), 'concatenated': packing.Concatenated(),
    'crops': packing.Crops()}
_SHAPES = [(32, 1024), (8, 256)]


def _seconds(work) -> float:
  begin = time.perf_counter()
  work()
  return time.perf_counter() - begin


def _batch_times(store: store_lib.TokenStore, rounds: int) -> dict:
  """Returns tokens per second for each packing and shape of batches."""
  work = {}
  for name, config in PACKINGS.items():
    for batch_size, length in _SHAPES:
      batches = pipeline.Batches(
          config.build(store, length, seed=0), batch_size, length,
          vocab_size=2**16, fingerprint={})
      batches(0)  # The permutation of the epoch should not be timed.
      work[f'{name} {batch_size} x {length}'] = batches
  times = {name: [] for name in work}
  for _ in range(rounds):
    for name, batches in work.items():
      steps = max(1, 500_000 // batches.tokens_per_batch)
      took = _seconds(lambda: [batches(step) for step in range(steps)])
      times[name].append(took / steps / batches.tokens_per_batch)
  return {name: round(1 / statistics.median(t)) for name, t in times.items()}


def measure(rounds: int) -> dict:
  """Returns the report, with all rates."""
  texts = list(sources.Embedded('python-stdlib').documents())
  megabytes = sum(len(text.encode()) for text in texts) / 1e6
  source = sources.InMemory(tuple(texts))
  # Short documents give the largest number of pieces per row.
  lines = tuple(line for text in texts for line in text.split('\n')[::4]
                if line.strip())
  result = {'corpus_megabytes': round(megabytes, 1), 'learn_megabytes': {},
            'encode_megabytes': {}, 'store_tokens': {}, 'batch_tokens': {}, 'batch_tokens_lines': {}}
  with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    for name, config in TOKENIZERS.items():
      begin = time.perf_counter()
      tokenizer = config.build(texts)
      result['learn_megabytes'][name] = round(
          megabytes / (time.perf_counter() - begin), 1)
      times = [_seconds(lambda: [tokenizer.encode(text) for text in texts])
               for _ in range(rounds)]
      result['encode_megabytes'][name] = round(
          megabytes / statistics.median(times), 1)
      took = _seconds(lambda: store_lib.build(folder / name, source, tokenizer))
      store = store_lib.load(folder / name)
      result['store_tokens'][name] = round(store.num_tokens / took)
    result['batch_tokens'] = _batch_times(
        store_lib.load(folder / 'bytes'), rounds)
    store = store_lib.build(folder / 'lines', sources.InMemory(lines),
                            symbols.Bytes().build())
    result['tokens_a_line'] = round(float(np.diff(store.offsets).mean()), 1)
    result['batch_tokens_lines'] = _batch_times(store, rounds)
  return result


def main(argv) -> None:
  del argv
  text = json.dumps(measure(flags.FLAGS.rounds), indent=2)
  print(text)
  if flags.FLAGS.out:
    pathlib.Path(flags.FLAGS.out).write_text(text + '\n')


if __name__ == '__main__':
  flags.DEFINE_integer('rounds', 5, 'Number of timings of each.')
  cli.path_flag('out', None, 'File to write the JSON to.')
  app.run(main)
