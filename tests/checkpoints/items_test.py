"""A state becomes items and the same state again."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.checkpoints import items as items_lib
from lmjax.testing import faults
from lmjax.training import step


def make(toy, **kwargs):
  return step.init_state(toy.params, optax.adam(1.0), 5, **kwargs)


@pytest.mark.parametrize('kwargs', [
    {}, {'ema': True}, {'equal': True, 'carry': {'h': jnp.ones((2, 3))}}])
def test_a_state_is_the_same_after_conversion_and_back(toy, kwargs):
  state = make(toy, **kwargs)
  items = items_lib.to_host(state)
  assert {*items} == {
      'params', 'rest', *(name for name in ('ema', 'carry')
                          if getattr(state, name) is not None)}
  back = items_lib.to_state(items, jax.eval_shape(lambda: state))
  assert jax.tree.structure(back) == jax.tree.structure(state)
  faults.assert_bitwise(back, state)
  assert {f.name for f in dataclasses.fields(state)} == {*vars(back)}


def test_items_are_copies(toy):
  state = make(toy)
  items = items_lib.to_host(state)
  kernel = items['params']['head']['kernel']
  assert not np.shares_memory(
      kernel, np.asarray(state.params['head']['kernel']))
  jax.jit(lambda s: jax.tree.map(
      lambda x: x + 1, s.params), donate_argnums=0)(state)
  np.testing.assert_array_equal(kernel, toy.params['head']['kernel'])


def test_arrays_are_freed_as_they_are_used(toy):
  state = make(toy)
  items = items_lib.to_host(state)
  items_lib.to_state(items, state)
  assert not items


def test_size_counts_every_byte(toy):
  state = make(toy, ema=True)
  params = sum(leaf.nbytes for leaf in jax.tree.leaves(toy.params))
  # Parameters, average, two moments; two counts and a key of two words.
  assert items_lib.size(state) == 4 * params + 8 + 8
  assert items_lib.size(jax.eval_shape(lambda: state)) == (
      items_lib.size(state))
