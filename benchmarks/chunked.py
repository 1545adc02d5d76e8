"""Measures the memory and time of a loss that computes logits in chunks.

  python benchmarks/chunked.py --rows=8 --length=1024 --chunks=512,1024,2048
  python benchmarks/chunked.py --rows=4 --length=256 --chunks=256 --rounds=5

The model is GPT-2 124M, with a vocabulary of 50,257. The script prints JSON
with the memory that XLA plans for temporary arrays, without running anything:
of the head, its loss and their gradients from hidden states, and of a training
step. With --rounds it also runs the head in turns in one process and prints the
median seconds over rounds, and the median ratio to the loss that has all logits
at once.
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
import jax.numpy as jnp
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

from lmjax.core import allocator
from lmjax.models import cost
from lmjax.models.presets import lookup
from lmjax.objectives import chunked
from lmjax.objectives import lm
from lmjax.objectives import losses
from lmjax.training.optimizers import adamw
from lmjax.training import step

GPT2 = lookup.named('gpt2')


def memory(rows: int, length: int, chunk: int | None, remat: str) -> int:
  """Returns the bytes of a step's temporary arrays, including gradients."""
  # On a CPU, XLA undoes the recomputation of looped blocks.
  config = dataclasses.replace(GPT2, remat=remat, scan=remat != 'none')
  params = cost.shapes(config)
  optimizer = adamw.AdamW().build(params, 10)
  state = jax.eval_shape(lambda params: step.init_state(
      params, optimizer, 0), params)
  kinds = dict(inputs=np.int32, targets=np.int32, weights=np.float32,
               positions=np.int32, segments=np.int32)
  batch = {name: jax.ShapeDtypeStruct((rows, length), kind)
           for name, kind in kinds.items()}
  update = functools.partial(
      step.train_step, optimizer=optimizer,
      objective=lm.Causal(chunk=chunk).build(config.build()))
  compiled = jax.jit(update, donate_argnums=0).lower(state, batch).compile()
  return compiled.memory_analysis().temp_size_in_bytes


def head(chunk: int | None) -> Callable[..., object]:
  """Returns a compiled function: gradient and metrics of the tied head's loss.
  """
  logits_of = lambda table_VD, x_BTD: jnp.einsum(
      'BTD,VD->BTV', x_BTD, table_VD)

  def loss(table_VD, x_BTD, targets_BT, weights_BT):
    if chunk is None:
      found = losses.token_means(
          logits_of(table_VD, x_BTD), targets_BT, weights_BT)
    else:
      found = chunked.token_means(
          logits_of, table_VD, x_BTD, targets_BT, weights_BT, chunk=chunk)
    return found['loss'].total, found

  return jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))


def arrays(rows: int, length: int) -> list[jax.Array]:
  """Returns the head's arguments: table, hidden states, targets and weights."""
  rng = np.random.default_rng(0)
  draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
  return [0.02 * draw(50257, 768), draw(rows, length, 768),
          jnp.asarray(rng.integers(0, 50257, (rows, length))),
          jnp.ones((rows, length))]


def head_memory(rows: int, length: int, chunk: int | None) -> int:
  """Returns the bytes of the head's temporary arrays."""
  compiled = head(chunk).lower(
      *jax.eval_shape(lambda: [
          jnp.zeros((50257, 768)), jnp.zeros((rows, length, 768)),
          jnp.zeros((rows, length), jnp.int32), jnp.ones((rows, length))])
  ).compile()
  return compiled.memory_analysis().temp_size_in_bytes


def race(rows: int, length: int, chunks: list[int], rounds: int):
  """Returns the times of the heads, which take turns."""
  given = arrays(rows, length)
  works = {'at_once': head(None)} | {
      str(chunk): head(chunk) for chunk in chunks}
  seconds = {name: [] for name in works}
  for work in works.values():
    jax.block_until_ready(work(*given))
  for _ in range(rounds):
    for name, work in works.items():
      begun = time.perf_counter(), time.process_time()
      jax.block_until_ready(work(*given))
      seconds[name].append((time.perf_counter() - begun[0],
                            time.process_time() - begun[1]))
  report = {}
  for i, kind in enumerate(('wall', 'processor')):
    times = {name: [pair[i] for pair in each] for name, each in seconds.items()}
    report[kind] = {
        name: {'seconds': round(statistics.median(each), 3),
               'over_at_once': round(statistics.median(
                   a / b for a, b in zip(each, times['at_once'])), 3)}
        for name, each in times.items()}
  return report


def main(argv) -> None:
  del argv
  options = flags.FLAGS
  allocator.keep_pages()
  chunks = [int(chunk) for chunk in options.chunks]
  report = {'rows': options.rows, 'length': options.length}
  report['head_mib'] = {
      str(chunk): round(
          head_memory(options.rows, options.length, chunk) / 2**20)
      for chunk in [None, *chunks]}
  if options.memory:
    report['step_mib'] = {
        str(chunk): round(memory(
            options.rows, options.length, chunk, options.remat) / 2**20)
        for chunk in [None, *chunks]}
  if options.rounds:
    report |= race(options.rows, options.length, chunks, options.rounds)
  print(json.dumps(report, indent=2))


if __name__ == '__main__':
  flags.DEFINE_integer('rows', 8, 'Rows per batch.')
  flags.DEFINE_integer('length', 1024, 'Tokens per row.')
  flags.DEFINE_list('chunks', ['1024'], 'Tokens per chunk, to compare.')
  flags.DEFINE_integer('rounds', 0, 'Number of turns of each head; 0 for none.')
  flags.DEFINE_bool('memory', True, 'Compile the steps too, for their memory.')
  flags.DEFINE_enum('remat', 'none', ['none', 'full', 'dots'],
                    'What the blocks recompute in the backward pass.')
  app.run(main)
