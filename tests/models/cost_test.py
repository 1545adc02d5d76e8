"""Estimated costs agree with the sizes of real models."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.core import trees
from lmjax.models import cost
from lmjax.models.presets import decoders
from lmjax.nn import attend
from lmjax.objectives import lm

SMALL = decoders.gpt2(32, 2, 4, vocab_size=50, context=16)


@pytest.mark.slow
def test_shapes_are_those_of_real_parameters():
  params = jax.jit(SMALL.build().init)(
      jax.random.key(0), np.zeros((1, 4), np.int32))['params']
  real = {path: leaf.shape for path, leaf in trees.items(params)}
  told = {path: leaf.shape for path, leaf in trees.items(cost.shapes(SMALL))}
  assert told == real


def test_parts_add_up_and_name_the_blocks_once():
  parts = cost.parameters_by_part(cost.shapes(SMALL))
  assert set(parts) == {'embed', 'positions', 'layers', 'final_norm'}
  assert sum(parts.values()) == trees.count(cost.shapes(SMALL))
  assert parts['embed'] == 50 * 32


def causal(config, remat='none', scan=False):
  config = dataclasses.replace(config, remat=remat, scan=scan)
  return lm.Causal().build(config.build(attend=attend.plain)), cost.shapes(
      config)


def rows(count, length):
  kinds = dict(inputs=np.int32, targets=np.int32, weights=np.float32,
               positions=np.int32, segments=np.int32)
  return {name: jax.ShapeDtypeStruct((count, length), kind)
          for name, kind in kinds.items()}


@pytest.mark.parametrize('scan', [False, True])
def test_flops_agree_with_hand_counts(scan):
  attention, mlp, head = 4 * 32 * 32, 2 * 32 * 128, 50 * 32
  expected = 6 * (2 * (attention + mlp) + head) + 12 * 2 * 32 * 16
  flops = cost.training_flops(*causal(SMALL, scan=scan), rows(3, 16))
  assert flops == 3 * 16 * expected


def test_only_active_experts_count():
  dense = decoders.llama(32, 2, 4, 4, 48, vocab_size=50, context=16)
  mixture = decoders.mixtral(
      32, 2, 4, 4, 24, vocab_size=50, context=16, num_experts=8, top_k=2)
  router = 6 * 2 * 32 * 8  # Two experts of half the width, and the routers.
  flops, of_dense = (
      cost.training_flops(*causal(config), rows(3, 16)) / (3 * 16)
      for config in (mixture, dense))
  assert flops == of_dense + router


def test_recomputation_is_not_the_models():
  assert cost.training_flops(*causal(SMALL, 'full'), rows(3, 16)) == (
      cost.training_flops(*causal(SMALL), rows(3, 16)))


@pytest.mark.slow
def test_flops_of_gpt2_at_1024_are_those_quoted_for_it():
  # 6 N + 12 L D T with N = 124 M, learned positions aside.
  flops = cost.training_flops(
      *causal(decoders.PRESETS['gpt2']), rows(1, 1024)) / 1024
  assert flops == pytest.approx(0.855e9, rel=0.002)


def test_only_one_branch_and_every_turn_of_a_loop_count():
  def twice(x):
    return jax.lax.cond(x[0, 0] > 0, lambda x: x @ x @ x, lambda x: x @ x, x)
  def loop(x, _):
    return jax.lax.scan(lambda c, _: (twice(c), None), x, None, length=5)[0]
  assert cost.training_flops(loop, jnp.ones((4, 4)), None) == (
      3 * 5 * 2 * 2 * 4**3)


def test_memory_at_rest_is_exact():
  objective, params = causal(SMALL)
  told = cost.memory(objective, params, optax.adam(1e-3), rows(2, 16))
  count = trees.count(params)
  assert told.parameters == told.gradients == 4 * count
  assert told.optimizer == 8 * count + 4  # Two moments and a counter.
  assert told.total > told.parameters + told.gradients + told.optimizer


@pytest.mark.slow
def test_activations_are_what_the_backward_pass_keeps():
  def kept(remat, count=2):
    objective, params = causal(SMALL, remat)
    return cost.memory(
        objective, params, optax.sgd(1e-3), rows(count, 16)).activations
  full, dots, none = (kept(remat) for remat in ('full', 'dots', 'none'))
  assert full < dots < none
  # Of each token: the input of both blocks, the last norm's, and its logits.
  assert full >= 2 * 16 * 4 * (3 * 32 + 50)
  assert kept('none', 4) == pytest.approx(2 * none, rel=0.02)
