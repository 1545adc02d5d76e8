"""Costs told before a run agree with what a run has."""
import jax
import jax.numpy as jnp
import optax
import pytest

from lmjax.core import trees
from lmjax.models import cost
from lmjax.models import presets

SMALL = presets.gpt2(32, 2, 4, vocab_size=50, context=16)


def test_shapes_are_those_of_real_parameters():
  params = SMALL.build().init(
      jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params']
  real = {path: leaf.shape for path, leaf in trees.items(params)}
  told = {path: leaf.shape for path, leaf in trees.items(cost.shapes(SMALL))}
  assert told == real


def test_parts_add_up_and_name_the_blocks_once():
  parts = cost.parameters_by_part(cost.shapes(SMALL))
  assert set(parts) == {'embed', 'positions', 'layers', 'final_norm'}
  assert sum(parts.values()) == trees.count(cost.shapes(SMALL))
  assert parts['embed'] == 50 * 32


def test_flops_agree_with_hand_counts():
  attention, mlp, head = 4 * 32 * 32, 2 * 32 * 128, 50 * 32
  expected = 6 * (2 * (attention + mlp) + head) + 12 * 2 * 32 * 16
  assert cost.flops_per_token(SMALL, 16) == expected


def test_flops_of_gpt2_at_1024_are_those_quoted_for_it():
  # 6 N + 12 L D T with N = 124 M, learned positions aside.
  flops = cost.flops_per_token(presets.PRESETS['gpt2'], 1024)
  assert flops == pytest.approx(0.855e9, rel=0.002)


def test_memory_at_rest_is_exact():
  told = cost.memory(SMALL, optax.adam(1e-3), batch_size=2, length=16)
  count = trees.count(cost.shapes(SMALL))
  assert told.parameters == told.gradients == 4 * count
  assert told.optimizer == 8 * count + 4  # Two moments and a counter.
  assert told.total > told.parameters + told.gradients + told.optimizer
