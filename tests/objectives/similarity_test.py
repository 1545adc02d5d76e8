"""Objectives of vectors against plain loops."""
import functools
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.objectives import similarity

ROWS, WIDTH = 5, 4


class Table(nn.Module):
  """A vector for each text, looked up by its first token."""
  backbone = types.SimpleNamespace(width=WIDTH)

  @nn.compact
  def __call__(self, inputs_BT, positions_BT, segments_BT, *, train=False):
    del positions_BT, segments_BT, train
    return nn.Embed(20, WIDTH, name='embed')(inputs_BT[:, 0])


PARAMS = {'embed': {'embedding': np.random.default_rng(0).normal(
    size=(20, WIDTH)).astype(np.float32)}}
IDS = {'': [0, 1, 2, 3, 4], 'positive_': [5, 6, 7, 6, 8],
       'negative_': [9, 10, 11, 12, 13]}
WEIGHTS = np.array([1, 1, 1, 1, 0], np.float32)  # The last row is padding.
SCORES = np.array([0.1, 0.9, 0.4, 0.9, 0.0], np.float32)


def batch(*prefixes):
  found = {'weights': WEIGHTS, 'labels': SCORES,
           'same': np.array([0, 1, 2, 1, 3], np.int32)}
  for prefix in prefixes:
    ids = np.array(IDS[prefix], np.int32)[:, None]
    found |= {f'{prefix}inputs': ids, f'{prefix}positions': np.zeros_like(ids),
              f'{prefix}segments': np.ones_like(ids)}
  return found


def unit(prefix, dim=WIDTH):
  x = np.asarray(PARAMS['embed']['embedding'], np.float64)[IDS[prefix], :dim]
  return x / np.linalg.norm(x, axis=1, keepdims=True)


def cosines():
  return (unit('') * unit('positive_')).sum(axis=1)


def loss(objective, *prefixes):
  given = batch(*prefixes)

  @jax.jit
  def total(params):
    found = objective.build(Table())(params, given)
    return found['loss'].total, found['loss']
  (_, mean), grads = jax.value_and_grad(total, has_aux=True)(PARAMS)
  assert jnp.all(jnp.isfinite(grads['embed']['embedding']))
  return mean.value


def test_cosines_are_of_the_two_texts():
  np.testing.assert_allclose(
      jax.jit(functools.partial(similarity.cosines, Table()))(
          PARAMS, batch('', 'positive_')), cosines(), atol=1e-6)
  assert loss(similarity.CosineError(), '', 'positive_') == pytest.approx(
      ((cosines() - SCORES)[:4] ** 2).mean(), rel=1e-5)


def test_cosent_orders_all_pairs_of_the_batch_with_different_scores():
  total, cosine = 1.0, cosines()
  for i in range(4):
    for j in range(4):
      if SCORES[i] > SCORES[j]:
        total += np.exp(3.0 * (cosine[j] - cosine[i]))
  assert loss(similarity.CoSENT(scale=3.0), '', 'positive_') == pytest.approx(
      np.log(total), rel=1e-5)


@pytest.mark.parametrize('both', [False, True])
@pytest.mark.parametrize('dims', [(), (2, 4)])
def test_each_text_finds_its_own_in_the_batch(both, dims):
  nll = []
  for dim in dims or (WIDTH,):
    h, own, other = (unit(prefix, dim) for prefix in IDS)
    for query, text, others in [(h, own, other), (own, h, None)][:1 + both]:
      for i in range(4):
        scores = [query[i] @ text[j] / 0.5 for j in range(4)
                  if j == i or IDS['positive_'][j] != IDS['positive_'][i]]
        if others is not None:
          scores += [query[i] @ others[j] / 0.5 for j in range(4)]
        nll.append(np.log(np.exp(scores).sum()) - query[i] @ text[i] / 0.5)
  objective = similarity.InBatch(temperature=0.5, both=both, dims=dims)
  assert loss(objective, *IDS) == pytest.approx(np.mean(nll), rel=1e-5)


def test_more_dimensions_than_there_are_are_refused():
  with pytest.raises(errors.InputError, match='vectors of the model have 4'):
    similarity.InBatch(dims=(8,)).build(Table())
