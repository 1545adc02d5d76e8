"""The loss of a choice, against a softmax written out."""
import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.objectives import choosing

TABLE = np.random.default_rng(0).normal(size=(9, 1)).astype(np.float32)
PARAMS = {'embed': {'embedding': TABLE}}
IDS = np.array([[1, 2, 3], [4, 5, 0], [0, 0, 0]])  # The last row is padding.
BATCH = {
    'options': np.array([3, 2, 0]), 'labels': np.array([2, 0, 0]),
    'weights': np.array([1, 1, 0], np.float32)} | {
        f'option_{k}_{name}': IDS[:, k:k + 1]
        for k in range(3)
        for name in ('inputs', 'positions', 'segments', 'types')}


class Table(nn.Module):
  """A score for each row, looked up by its first token."""

  @nn.compact
  def __call__(self, inputs_BT, positions_BT, segments_BT, *, types_BT,
               train=False):
    del positions_BT, segments_BT, types_BT, train
    return nn.Embed(9, 1, name='embed')(inputs_BT[:, 0])


@pytest.mark.slow
def test_each_question_is_a_softmax_over_its_own_options():
  found = choosing.Choosing().build(Table())(PARAMS, BATCH)
  s = TABLE[:, 0].astype(float)
  nats = [np.log(np.exp(s[[1, 2, 3]]).sum()) - s[3],
          np.log(np.exp(s[[4, 5]]).sum()) - s[4]]
  assert found['loss'].value == pytest.approx(np.mean(nats), abs=1e-6)
  right = [np.argmax(s[[1, 2, 3]]) == 2, np.argmax(s[[4, 5]]) == 0]
  assert found['accuracy'].value == np.mean(right)


@pytest.mark.slow
def test_an_option_that_is_missing_changes_nothing():
  scores_BK = choosing.scores(Table(), PARAMS, BATCH)
  np.testing.assert_array_equal(scores_BK[1, 2:], np.float32([-1e9]))
  loss = lambda params: choosing.Choosing().build(Table())(
      params, BATCH)['loss'].total
  grad = jax.grad(loss)(PARAMS)['embed']['embedding']
  assert np.isfinite(grad).all() and not grad[0].any() and grad[4].any()
