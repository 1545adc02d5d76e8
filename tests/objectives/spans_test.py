"""The loss of an answer's ends against plain arithmetic."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.objectives import spans

LOGITS_BTC = np.random.default_rng(0).normal(size=(3, 5, 2)).astype(np.float32)
BATCH = {
    'inputs': np.zeros((3, 5), np.int32),
    'positions': np.zeros((3, 5), np.int32),
    'segments': np.ones((3, 5), np.int32),
    'types': np.zeros((3, 5), np.int32),
    'firsts': np.array([2, 1, 0], np.int32),
    'lasts': np.array([4, 5, 0], np.int32),
    'starts': np.array([2, 0, 0], np.int32),
    'ends': np.array([3, 0, 0], np.int32),
    'weights': np.array([1, 1, 0], np.float32)}


class Says:
  """Returns the same logits whatever it reads."""

  def apply(self, variables, *args, types_BT, **kwargs):
    return variables['params']


@pytest.mark.slow
def test_the_loss_is_the_mean_of_both_cross_entropies_over_the_text():
  want = []
  for row, columns, ends in ((0, [0, 2, 3], (2, 3)), (1, range(5), (0, 0))):
    exp = np.exp(LOGITS_BTC[row].astype(np.float64))
    want.append(np.mean([-np.log(exp[end, c] / exp[[*columns], c].sum())
                         for c, end in enumerate(ends)]))
  objective = spans.SpanEnds().build(Says())
  found = objective(LOGITS_BTC, BATCH)
  assert found['loss'].value == pytest.approx(np.mean(want), rel=1e-6)
  sure = LOGITS_BTC.copy()
  sure[0, 2:4] = np.eye(2) * 9  # Right, and in the second row one of two ends.
  sure[1] = np.where(np.arange(5)[:, None] == [0, 3], 9, 0)
  assert objective(sure, BATCH)['accuracy'].value == 0.5
  grads = jax.grad(lambda x: objective(x, BATCH)['loss'].total)(
      jnp.asarray(LOGITS_BTC))
  moved = np.abs(grads).sum(axis=2) > 0
  assert moved.tolist() == [[1, 0, 1, 1, 0], [1] * 5, [0] * 5]


def test_tokens_outside_the_text_cannot_be_in_an_answer():
  found = np.asarray(spans.logits(Says(), LOGITS_BTC, BATCH))
  possible = found > -1e8
  assert (possible[:, :, 0] == possible[:, :, 1]).all()
  assert possible[:, :, 0].tolist() == [
      [1, 0, 1, 1, 0], [1] * 5, [1, 0, 0, 0, 0]]
  np.testing.assert_array_equal(found[possible], LOGITS_BTC[possible])
