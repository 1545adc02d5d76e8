"""States come from the part of a model that reads a text, causal or not."""
import functools
import types

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models import model as model_lib
from lmjax.nn import readout

IDS = jnp.arange(6).reshape(2, 3)
ONES = jnp.ones_like(IDS)


def traits(**traits):
  """Returns what stands for the config of a model with these traits."""
  return types.SimpleNamespace(traits=model_lib.Traits(**traits))


class Plain(nn.Module):
  """Tells which keys its mask shows, through `hidden`."""
  config: types.SimpleNamespace

  def hidden(self, inputs_BT, mask, train=False):
    return mask.dense() * (2.0 if train else 1.0), 'cache'


class Reader(Plain):

  def encode(self, inputs_BT, mask, train=False):
    return 10.0 * mask.dense()


class Typed(nn.Module):
  """Returns the types that it is given."""
  config: types.SimpleNamespace

  def hidden(self, inputs_BT, mask, types_BT=None, train=False):
    return 0 * inputs_BT if types_BT is None else types_BT, None


class TypedReader(Typed):

  def encode(self, inputs_BT, mask, types_BT=None, train=False):
    return self.hidden(inputs_BT, mask, types_BT)[0]


@pytest.mark.parametrize('kind, built, asked, seen', [
    (Plain, True, True, np.tri(3)), (Plain, True, False, np.ones((3, 3))),
    (Plain, False, True, np.ones((3, 3))),
    (Reader, True, True, 10 * np.ones((3, 3)))])
def test_who_sees_whom(kind, built, asked, seen):
  model = kind(traits(causal=built, encodes=kind is Reader))
  positions = jnp.broadcast_to(jnp.arange(3)[None], (2, 3))
  found = model.apply({}, IDS, positions, ONES, causal=asked,
                      method=readout.states)
  np.testing.assert_array_equal(found, np.broadcast_to(seen, (2, 3, 3)))


@pytest.mark.parametrize('kind', [Typed, TypedReader])
def test_types_reach_only_a_model_that_tells_them_apart(kind):
  encodes = kind is TypedReader
  states = functools.partial(
      kind(traits(encodes=encodes, types=2)).apply, {}, IDS, IDS, ONES,
      method=readout.states)
  np.testing.assert_array_equal(states(types_BT=IDS), IDS)
  np.testing.assert_array_equal(states(), 0 * IDS)
  for number in 0, 1:  # Of one type are all tokens anyway.
    blind = kind(traits(encodes=encodes, types=number))
    np.testing.assert_array_equal(blind.apply(
        {}, IDS, IDS, ONES, types_BT=IDS, method=readout.states), 0 * IDS)


def test_dropout_is_passed_on():
  model = Plain(traits(causal=True))
  found = model.apply({}, IDS, IDS, ONES, train=True, method=readout.states)
  assert found.max() == 2


def test_pooled_vectors_are_of_the_real_tokens():
  x = np.arange(24.0).reshape(2, 3, 4) * np.array([1, -1])[:, None, None]
  real = np.array([[1, 1, 0], [1, 1, 1]], bool)
  for pool, want in (
      (readout.mean, [x[0, :2].mean(0), x[1].mean(0)]),
      (readout.largest, [x[0, :2].max(0), x[1].max(0)]),
      (readout.last, [x[0, 1], x[1, 2]])):
    np.testing.assert_allclose(pool(jnp.asarray(x), jnp.asarray(real)), want)


@pytest.mark.parametrize('pooling', readout.POOLING)
def test_a_vector_is_pooled_by_name_and_scaled_if_asked(pooling):
  rng = np.random.default_rng(0)
  x_BTD = jnp.asarray(rng.normal(size=(2, 3, 4)), jnp.float32)
  real_BT = jnp.array([[True, True, False], [True, True, True]])
  want = np.stack([{
      'mean': x_TD.mean(0), 'cls': x_TD[0], 'last': x_TD[-1],
      'max': x_TD.max(0), 'mean_sqrt': x_TD.sum(0) / len(x_TD) ** 0.5
  }[pooling] for x_TD in (np.asarray(x_BTD[0, :2]), np.asarray(x_BTD[1]))])
  np.testing.assert_allclose(
      readout.Readout(pooling).pooled(x_BTD, real_BT), want, rtol=1e-5)
  np.testing.assert_allclose(
      readout.Readout(pooling, unit=True).pooled(x_BTD, real_BT),
      want / np.linalg.norm(want, axis=1, keepdims=True), rtol=1e-5)


def test_an_unknown_pooling_is_refused():
  with pytest.raises(errors.InputError, match="pooling is 'median'"):
    readout.Readout('median')
