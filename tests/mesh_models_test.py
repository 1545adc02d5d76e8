"""What the compiler exchanges between devices, and that models train the same.

Each strategy moves what it must and no more: a wrong guess of the compiler's
would cost memory and time, and change no number.
"""
import collections
import dataclasses
import functools
import math

import jax
import numpy as np
import pytest

from lmjax.models import decoder
from lmjax.models.presets import decoders
from lmjax.nn.mixture import experts
from lmjax.objectives import lm
from lmjax.parallel import mesh as mesh_lib
from lmjax.testing import exchanges as exchanges_lib
from lmjax.testing import parallel as parallel_kit
from lmjax.training.optimizers import adamw
from lmjax.training import step

VOCAB, WIDTH, ROWS, LENGTH = 96, 16, 16, 8
MODEL = dataclasses.replace(
    decoders.gpt2(WIDTH, 2, 4, vocab_size=VOCAB, context=LENGTH), scan=True)
LLAMA = dataclasses.replace(decoders.llama(
    WIDTH, 1, 4, 4, 40, vocab_size=VOCAB, context=LENGTH, tied=False),
                            scan=False)
HIDDEN = 4 * WIDTH
DEEP = dataclasses.replace(LLAMA, num_layers=4, scan=True, remat='dots')
EXPERTS = dataclasses.replace(MODEL, scan=False, num_layers=1, block=(
    dataclasses.replace(MODEL.block, mlp=experts.MixtureOfExperts(
        hidden=24, num_experts=4, gated=True))))
ROOMY = dataclasses.replace(EXPERTS, block=dataclasses.replace(
    EXPERTS.block, mlp=dataclasses.replace(
        EXPERTS.block.mlp, capacity_factor=1.0)))


def batches(number):
  draw = np.random.default_rng(number)
  ids = draw.integers(0, VOCAB, (ROWS, LENGTH + 1)).astype(np.int32)
  lengths = draw.integers(0, LENGTH + 1, (ROWS, 1))
  place = np.arange(LENGTH)
  return {'inputs': ids[:, :-1], 'targets': ids[:, 1:],
          'weights': (place < lengths).astype(np.float32),
          'positions': np.tile(place.astype(np.int32), (ROWS, 1)),
          'segments': np.ones((ROWS, LENGTH), np.int32)}


@functools.cache
def initial(config):
  """Returns initial parameters, on the host."""
  return jax.device_get(decoder.initial_params(config.build(), 0))


def exchanges(sizes, config=MODEL, microbatches=1, objective=lm.Causal(),
              **options):
  """Returns all exchanges in the compiled step of a model on a mesh."""
  strategy = mesh_lib.Mesh(sizes=sizes, **options)
  model = config.build()
  params = initial(config)
  optimizer = adamw.AdamW().build(params, 10)
  update = strategy.compile(functools.partial(
      step.train_step, objective=objective.build(model, None),
      optimizer=optimizer), microbatches)
  state = strategy.place(step.init_state(params, optimizer, 0))
  text = update.lower(state, strategy.shard(batches(0))).compile().as_text()
  return exchanges_lib.of_step(text, 8)


def gathered(found):
  return collections.Counter(
      shape for moved in found if moved.kind == 'all-gather'
      for shape in moved.shapes)


@pytest.mark.slow
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


@pytest.mark.slow
def test_tensor_parallel_gathers_no_parameter_and_no_logits():
  found = exchanges('data:2,tensor:4')
  assert {moved.kind for moved in found} == {'all-reduce'}
  tokens = ROWS // 2 * LENGTH
  activations = [shape for moved in found for shape in moved.shapes
                 if math.prod(shape) == tokens * WIDTH]
  assert activations  # Sums of what the heads and hidden parts give.
  assert all(VOCAB not in shape for moved in found for shape in moved.shapes)


@pytest.mark.slow
def test_both_gather_only_the_own_share_of_a_parameter():
  found = exchanges('fsdp:4,tensor:2', LLAMA)
  assert {moved.kind for moved in found} <= {
      'all-reduce', 'all-gather', 'reduce-scatter'}
  assert set(gathered(found)) == {
      (VOCAB // 2, WIDTH), (WIDTH, VOCAB // 2), (WIDTH, WIDTH // 2),
      (WIDTH // 2, WIDTH), (WIDTH, 20), (20, WIDTH)}


@pytest.mark.parametrize(
    'chunk', [None, pytest.param(32, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_divided_sequence_goes_round_and_is_never_gathered(chunk):
  found = exchanges('data:2,sequence:4', LLAMA, objective=lm.Causal(
      chunk=chunk))
  kinds = collections.Counter(moved.kind for moved in found)
  assert kinds.keys() == {'all-reduce', 'collective-permute'}
  # A device's tokens are 2 of 8: nothing that travels has more.
  permutes = [moved for moved in found if moved.kind == 'collective-permute']
  assert {moved.times for moved in permutes} == {1, 4 - 1}  # Dealt, and round.
  travels = [shape for moved in permutes for shape in moved.shapes]
  assert {math.prod(shape) for shape in travels} <= {
      # Keys and values, and what of them is dealt: 8 rows, 2 or 1 tokens.
      8 * 2 * WIDTH, 8 * WIDTH, 8 * 2, 8}
  summed = [shape for moved in found if moved.kind == 'all-reduce'
            for shape in moved.shapes]
  assert all(shape[:2] != (8, LENGTH) for shape in summed)  # Gradients alone.


@pytest.mark.slow
def test_tokens_are_exchanged_for_heads_and_back():
  config = dataclasses.replace(
      DEEP, num_layers=1, scan=False, remat='none')
  found = exchanges('data:4,sequence:2', config, sequence='ulysses')
  kinds = collections.Counter(moved.kind for moved in found)
  # Queries, keys, values and results, forward and backward.
  assert kinds['all-to-all'] == 2 * 4 and not kinds['collective-permute']
  assert set(gathered(found)) <= {(4, LENGTH), (2, 4, LENGTH)}  # Positions.


@pytest.mark.slow
def test_a_sequence_leaves_parameters_to_fsdp():
  found = exchanges('fsdp:2,sequence:4', LLAMA)
  assert set(gathered(found)) == {
      (VOCAB, WIDTH), (WIDTH, VOCAB), (WIDTH, WIDTH), (WIDTH, 40), (40, WIDTH)}


@pytest.mark.parametrize('config', [
    pytest.param(EXPERTS, marks=pytest.mark.slow), ROOMY],
                         ids=['dropless', 'with room'])
@pytest.mark.slow
def test_tokens_go_to_their_experts_and_back(config):
  found = exchanges('data:2,expert:4', config)
  kinds = collections.Counter(moved.kind for moved in found)
  assert kinds['all-to-all'] == 4  # There and back, forward and backward.
  assert kinds.keys() == {'all-reduce', 'all-to-all'}
  # Of the experts' gradients each device adds up those of its own alone.
  assert all(shape[0] == 1 for moved in found for shape in moved.shapes
             if len(shape) == 3 and moved.kind == 'all-reduce')


@pytest.mark.slow
def test_stages_hand_on_one_part_of_the_batch_at_a_time():
  found = exchanges('data:2,stage:4', DEEP, microbatches=4)
  kinds = collections.Counter(moved.kind for moved in found)
  assert kinds.keys() == {'all-reduce', 'collective-permute'}
  part = ROWS // 2 // 4 * LENGTH * WIDTH
  inside = [moved for moved in found if moved.kind == 'collective-permute'
            and moved.times > 1]
  assert len(inside) >= 4  # Activations, positions, segments; gradients.
  assert {moved.times for moved in inside} == {4 + 4 - 1}
  assert max(math.prod(moved.shapes[0]) for moved in inside) == part
  # No stage gets another's layers: [4, ...] of a parameter, or a whole one.
  whole = {(4, WIDTH, WIDTH), (4, WIDTH, 40), (4, 40, WIDTH)}
  assert not whole & {shape for moved in found for shape in moved.shapes}


def agrees(config, over, steps, microbatches=1, objective=lm.Causal(),
           **options):
  """Checks that a model trains on meshes as on one device."""
  model = config.build()
  params = initial(config)
  parallel_kit.assert_parallel_invariant(
      objective.build(model, None), params, batches, steps=steps, over=over,
      microbatches=microbatches, **options,
      optimizer=adamw.AdamW().build(params, 50))


@pytest.mark.parametrize('config, mesh, microbatches', [
    pytest.param(LLAMA, 'data:2,sequence:2,tensor:2', 1,
                 marks=pytest.mark.slow),
    (ROOMY, 'expert:2,sequence:2,tensor:2', 1),
    (DEEP, 'stage:2,fsdp:2,tensor:2', 2)], ids=['sequence', 'expert', 'stage'])
@pytest.mark.slow
def test_three_steps_on_new_axes(config, mesh, microbatches):
  agrees(config, [mesh], 3, microbatches)


def dropping(config):
  """Returns a model that drops wherever it can."""
  block = config.block
  embed = dataclasses.replace(config.embed, dropout=0.2)
  return dataclasses.replace(config, embed=embed, block=(
      dataclasses.replace(
          block, dropout=0.2,
          mixer=dataclasses.replace(block.mixer, dropout=0.2),
          mlp=dataclasses.replace(block.mlp, dropout=0.2))))


@pytest.mark.slow
@pytest.mark.parametrize('config, mesh, microbatches', [
    (ROOMY, 'expert:2,fsdp:2,tensor:2', 2),
    (DEEP, 'stage:2,sequence:2', 4)], ids=['expert', 'stage'])
def test_dropout_is_the_same_on_new_axes(config, mesh, microbatches):
  agrees(dropping(config), [mesh], 2, microbatches)


@pytest.mark.slow
@pytest.mark.parametrize('config, over, microbatches', [
    (MODEL, ['pmap', 'data:2,fsdp:2,tensor:2', 'data:2,sequence:4',
             'sequence:2,tensor:2'], 1),
    (MODEL, ['data:2,fsdp:2,tensor:2', 'data:2,sequence:4'], 2),
    (MODEL, ['data:2'], 8),
    (EXPERTS, ['data:8', 'expert:4', 'expert:2,fsdp:2,tensor:2'], 1),
    (ROOMY, ['pmap', 'data:8', 'expert:4,sequence:2'], 1),
    (ROOMY, ['expert:2,fsdp:2'], 2),
    (DEEP, ['stage:4', 'stage:2,data:2,tensor:2'], 4),
    (DEEP, ['stage:2,fsdp:2,sequence:2', 'pmap'], 2)])
def test_dropout_is_the_same_however_it_is_divided(config, over, microbatches):
  agrees(dropping(config), over, 3, microbatches)


@pytest.mark.exhaustive
@pytest.mark.parametrize('microbatches', [1, 2])
@pytest.mark.parametrize('config', [MODEL, LLAMA], ids=['gpt2', 'llama'])
def test_fifty_steps_on_every_mesh(config, microbatches):
  # `tensor` alone over 4 devices: the models have 4 heads. The sequence has
  # 8 tokens, and each device takes two pieces.
  over = ['data:8', 'fsdp:8', 'tensor:4', 'sequence:4', 'data:2,fsdp:4',
          'data:4,tensor:2', 'fsdp:4,tensor:2', 'data:2,sequence:4',
          'data:2,fsdp:2,tensor:2', 'fsdp:2,sequence:2,tensor:2']
  agrees(config, over + ['pmap'] * (microbatches == 1), 50, microbatches)


@pytest.mark.exhaustive
@pytest.mark.parametrize('config', [MODEL, dropping(LLAMA)],
                         ids=['gpt2', 'llama'])
def test_fifty_steps_of_heads_exchanged_for_tokens(config):
  agrees(config, ['sequence:4', 'data:2,sequence:2,tensor:2',
                  'fsdp:4,sequence:2'], 50, sequence='ulysses')
  agrees(DEEP, ['stage:2,sequence:2'], 50,
         sequence='ulysses')


@pytest.mark.exhaustive
@pytest.mark.parametrize('config', [EXPERTS, ROOMY], ids=['dropless', 'roomy'])
def test_fifty_steps_of_experts_on_every_mesh(config):
  agrees(config, ['data:8', 'expert:4', 'data:2,expert:4',
                  'expert:2,fsdp:2,tensor:2', 'expert:4,sequence:2'], 50)
  agrees(config, ['expert:2,fsdp:2'], 50, microbatches=2)


@pytest.mark.exhaustive
@pytest.mark.parametrize('microbatches', [1, 4])
def test_fifty_steps_through_stages(microbatches):
  agrees(DEEP, ['stage:4', 'stage:2,data:2,tensor:2', 'stage:4,fsdp:2',
                'stage:2,fsdp:2,sequence:2'], 50, microbatches)


@pytest.mark.exhaustive
@pytest.mark.parametrize('mesh', ['data:2,sequence:4', 'stage:2,fsdp:4'])
def test_fifty_steps_without_all_logits(mesh):
  agrees(DEEP, [mesh], 50, 2, lm.Causal(chunk=64))
