"""The classification loss against plain arithmetic, with rows left out."""
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.objectives import labels


class Counting(nn.Module):
  """Logits that are a linear map of how often each token occurs."""
  dropout: float = 0.0

  @nn.compact
  def __call__(self, inputs_BT, positions_BT, segments_BT, *, train=False):
    del positions_BT
    counts_BV = jnp.sum(
        jax.nn.one_hot(inputs_BT, 5) * (segments_BT > 0)[..., None], axis=1)
    counts_BV = nn.Dropout(self.dropout, deterministic=not train)(counts_BV)
    return nn.Dense(3, use_bias=False, name='head')(counts_BV)


BATCH = {
    'inputs': np.array([[1, 2, 3], [4, 4, 0], [0, 0, 0]], np.int32),
    'positions': np.array([[0, 1, 2], [0, 1, 0], [0, 0, 0]], np.int32),
    'segments': np.array([[1, 1, 1], [1, 1, 0], [0, 0, 0]], np.int32),
    'labels': np.array([2, 0, 1], np.int32),
    'weights': np.array([1, 1, 0], np.float32)}
PARAMS = {'head': {'kernel': jnp.asarray(
    np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)}}


def by_hand(smoothing):
  kernel = np.asarray(PARAMS['head']['kernel'], np.float64)
  losses = []
  for tokens, label in (([1, 2, 3], 2), ([4, 4], 0)):
    logits = kernel[tokens].sum(axis=0)
    log_p = logits - np.log(np.exp(logits).sum())
    target = np.full(3, smoothing / 3)
    target[label] += 1 - smoothing
    losses.append(-(target * log_p).sum())
  return np.mean(losses)


@pytest.mark.parametrize('smoothing', [0.0, 0.3])
def test_loss_is_the_cross_entropy_of_the_rows_that_count(smoothing):
  objective = labels.Labels(label_smoothing=smoothing).build(Counting())
  means = objective(PARAMS, BATCH)
  np.testing.assert_allclose(
      means['loss'].value, by_hand(smoothing), rtol=1e-5)
  np.testing.assert_allclose(means['nll'].value, by_hand(0.0), rtol=1e-5)
  assert float(means['loss'].weight) == 2


def test_accuracy_leaves_out_rows_of_weight_zero():
  logits_BC = labels.logits(Counting(), PARAMS, BATCH)
  best_B = np.asarray(logits_BC).argmax(-1).astype(np.int32)
  batch = BATCH | {'labels': np.where(BATCH['weights'] > 0, best_B, 0)}
  assert labels.classify(Counting(), PARAMS, batch)['accuracy'].value == 1.0
  batch['labels'] = (batch['labels'] + np.array([1, 0, 0])) % 3
  assert labels.classify(Counting(), PARAMS, batch)['accuracy'].value == 0.5


def test_dropout_only_with_a_key():
  model = Counting(dropout=0.5)
  plain = labels.classify(model, PARAMS, BATCH)['loss'].value
  assert labels.classify(model, PARAMS, BATCH)['loss'].value == plain
  dropped = {
      labels.classify(model, PARAMS, BATCH, rng=jax.random.key(seed))[
          'loss'].value for seed in range(4)}
  assert len(dropped) > 1


def test_impossible_smoothing_is_refused():
  with pytest.raises(errors.InputError, match='label_smoothing'):
    labels.Labels(label_smoothing=1.0)


class Tagging(nn.Module):
  """Logits of each token that depend on its id alone."""

  @nn.compact
  def __call__(self, inputs_BT, positions_BT, segments_BT, *, train=False):
    del positions_BT, segments_BT, train
    return nn.Dense(3, use_bias=False, name='head')(jax.nn.one_hot(inputs_BT, 5))


@pytest.mark.slow
def test_labels_of_tokens_count_by_the_weights_of_tokens():
  batch = BATCH | {
      'labels': np.array([[2, 0, 1], [1, 1, 0], [0, 0, 0]], np.int32),
      'weights': np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]], np.float32)}
  kernel = np.asarray(PARAMS['head']['kernel'], np.float64)
  nll, right = [], []
  for token, label in ((1, 2), (3, 1), (4, 1)):
    nll.append(np.log(np.exp(kernel[token]).sum()) - kernel[token, label])
    right.append(kernel[token].argmax() == label)
  means = labels.classify(Tagging(), PARAMS, batch)
  np.testing.assert_allclose(means['loss'].value, np.mean(nll), rtol=1e-5)
  assert means['accuracy'].value == pytest.approx(np.mean(right))
  assert float(means['loss'].weight) == 3
