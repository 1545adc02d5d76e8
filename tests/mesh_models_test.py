"""What the compiler exchanges between devices, and that models train the same.

Each strategy moves what it must and no more: a wrong guess of the compiler's
would cost memory and time, and change no number.
"""
import collections
import dataclasses
import functools
import math
import re

import jax
import numpy as np
import pytest

from lmjax.models import decoder
from lmjax.models import presets
from lmjax.objectives import lm
from lmjax.testing import parallel as parallel_kit
from lmjax.training import mesh as mesh_lib
from lmjax.training import optimizers
from lmjax.training import step

VOCAB, WIDTH, ROWS, LENGTH = 96, 16, 16, 8
MODEL = dataclasses.replace(
    presets.gpt2(WIDTH, 2, 4, vocab_size=VOCAB, context=LENGTH), scan=True)
LLAMA = dataclasses.replace(presets.llama(
    WIDTH, 1, 4, 4, 40, vocab_size=VOCAB, context=LENGTH, tied=False),
                            scan=False)
HIDDEN = 4 * WIDTH


def batches(number):
  draw = np.random.default_rng(number)
  ids = draw.integers(0, VOCAB, (ROWS, LENGTH + 1)).astype(np.int32)
  lengths = draw.integers(0, LENGTH + 1, (ROWS, 1))
  place = np.arange(LENGTH)
  return {'inputs': ids[:, :-1], 'targets': ids[:, 1:],
          'weights': (place < lengths).astype(np.float32),
          'positions': np.tile(place.astype(np.int32), (ROWS, 1)),
          'segments': np.ones((ROWS, LENGTH), np.int32)}


@dataclasses.dataclass(frozen=True)
class Moved:
  """One exchange: what kind, and the shapes that come out on a device."""
  kind: str
  shapes: tuple[tuple[int, ...], ...]

def exchanges(sizes, config=MODEL, microbatches=1):
  """Returns all exchanges in the compiled step of a model on a mesh."""
  strategy = mesh_lib.Mesh(sizes=sizes)
  model = config.build()
  params = decoder.initial_params(model, 0)
  optimizer = optimizers.AdamW().build(params, 10)
  update = strategy.compile(functools.partial(
      step.train_step, objective=lm.Causal().build(model, None),
      optimizer=optimizer, microbatches=microbatches))
  state = strategy.place(step.init_state(params, optimizer, 0))
  text = update.lower(state, strategy.shard(batches(0))).compile().as_text()
  found = []
  for line in text.splitlines():
    match = re.search(
        r' = (.*?) (all-gather|all-reduce|reduce-scatter|all-to-all|'
        r'collective-permute)(?:-start)?\(', line)
    if match:
      found.append(Moved(match[2], tuple(
          tuple(int(n) for n in shape.split(',') if n)
          for shape in re.findall(r'\w+\[([\d,]*)\]', match[1]))))
  return found


def gathered(found):
  return collections.Counter(
      shape for moved in found if moved.kind == 'all-gather'
      for shape in moved.shapes)


def test_data_parallel_adds_up_gradients_and_moves_nothing_else():
  found = exchanges('data:8')
  assert {moved.kind for moved in found} == {'all-reduce'}
  shapes = [shape for moved in found for shape in moved.shapes]
  assert (VOCAB, WIDTH) in shapes
  weights = {(VOCAB, WIDTH), (LENGTH, WIDTH)} | {
      shape for shape in shapes if shape[-1:] in ((WIDTH,), (HIDDEN,))}
  assert all(shape in weights or math.prod(shape) <= 1 for shape in shapes)


@pytest.mark.parametrize(
    'microbatches', [1, pytest.param(2, marks=pytest.mark.slow)])
def test_fsdp_gathers_parameters_layer_by_layer_and_no_activation(
    microbatches):
  found = exchanges('fsdp:8', microbatches=microbatches)
  assert {moved.kind for moved in found} <= {
      'all-reduce', 'all-gather', 'reduce-scatter'}
  parameters = {(VOCAB, WIDTH), (LENGTH, WIDTH), (WIDTH, WIDTH),
                (WIDTH, HIDDEN), (HIDDEN, WIDTH)}
  # One layer's at a time: a stack of both would have a leading 2.
  assert set(gathered(found)) == parameters


def test_tensor_parallel_gathers_no_parameter_and_no_logits():
  found = exchanges('data:2,tensor:4')
  assert {moved.kind for moved in found} == {'all-reduce'}
  tokens = ROWS // 2 * LENGTH
  activations = [shape for moved in found for shape in moved.shapes
                 if math.prod(shape) == tokens * WIDTH]
  assert activations  # Sums of what the heads and hidden parts give.
  assert all(VOCAB not in shape for moved in found for shape in moved.shapes)


def test_both_gather_only_the_own_share_of_a_parameter():
  found = exchanges('fsdp:4,tensor:2', LLAMA)
  assert {moved.kind for moved in found} <= {
      'all-reduce', 'all-gather', 'reduce-scatter'}
  assert set(gathered(found)) == {
      (VOCAB // 2, WIDTH), (WIDTH, VOCAB // 2), (WIDTH, WIDTH // 2),
      (WIDTH // 2, WIDTH), (WIDTH, 20), (20, WIDTH)}


def objective_of(config):
  return lm.Causal().build(config.build(), None)


@pytest.mark.slow
def test_dropout_is_the_same_on_a_mesh():
  config = dataclasses.replace(
      MODEL, embed_dropout=0.2, block=dataclasses.replace(
          MODEL.block, dropout=0.2))
  parallel_kit.assert_parallel_invariant(
      objective_of(config), decoder.initial_params(config.build(), 0), batches,
      over=['data:2,fsdp:2,tensor:2'], steps=3)


@pytest.mark.slow
@pytest.mark.parametrize('microbatches', [1, 2])
@pytest.mark.parametrize('config', [MODEL, LLAMA], ids=['gpt2', 'llama'])
def test_fifty_steps_on_every_mesh(config, microbatches):
  # `tensor` alone over 4 devices: the models have 4 heads.
  over = ['data:8', 'fsdp:8', 'tensor:4', 'data:2,fsdp:4', 'data:4,tensor:2',
          'fsdp:4,tensor:2', 'data:2,fsdp:2,tensor:2']
  params = decoder.initial_params(config.build(), 0)
  parallel_kit.assert_parallel_invariant(
      objective_of(config), params, batches, steps=50,
      over=over + ['pmap'] * (microbatches == 1), microbatches=microbatches,
      optimizer=optimizers.AdamW().build(params, 50))
