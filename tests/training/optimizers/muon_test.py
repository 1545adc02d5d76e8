"""Muon orthogonalises hidden matrices, and gives the rest to Adam."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.training.optimizers import muon


@pytest.mark.slow
def test_orthogonalises_each_hidden_matrix(toy):
  optimizer = muon.Muon(
      learning_rate=1.0, weight_decay=0.0, clip_norm=None)
  built = optimizer.build(toy.params, 1)
  grads = jax.tree.map(lambda p: jnp.sin(7 * p), toy.params)
  updates, state = built.update(grads, built.init(toy.params), toy.params)
  scale = 0.2 * 8 ** 0.5
  for layer in updates['layers']['dense']['kernel']:
    singular = np.linalg.svd(layer / scale, compute_uv=False)
    # Five Newton-Schulz iterations bring them near 1, by design not to 1.
    assert singular.max() < 1.3 and np.median(singular) > 0.6
  # Adam's first update is the sign of the gradient.
  for name in 'embed/embedding', 'head/kernel', 'layers/dense/bias':
    update = dict(trees.items(updates))[name]
    np.testing.assert_allclose(np.abs(update), 1.0, rtol=1e-3)
  assert any('adam' in path for path, _ in trees.items(state))


def test_without_hidden_matrices_is_refused():
  with pytest.raises(errors.InputError, match='matches no parameter'):
    built = muon.Muon().build({'w': {'kernel': jnp.ones((2, 2))}}, 1)
    built.init({'w': {'kernel': jnp.ones((2, 2))}})
