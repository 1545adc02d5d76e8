"""Nothing is idle, and the same seed gives the same weights."""
import jax
import numpy as np

from lmjax.core import trees
from lmjax.testing import hot

SHAPES = {
    'layer_0': {'kernel': (64, 64), 'bias': (400,), 'scale': (400,)},
    'layers': {'scale': (3, 200)}, 'embed': {'embedding': (50, 64)}}


def draw(seed=0):
  return hot.hot_params(jax.tree.map(
      lambda shape: jax.ShapeDtypeStruct(shape, np.float32), SHAPES,
      is_leaf=lambda x: isinstance(x, tuple)), seed)


def test_kinds_depend_on_names_not_ranks():
  want = {'kernel': (0, 0.15), 'embedding': (0, 0.15), 'bias': (0, 0.1),
          'scale': (1, 0.1)}
  for path, leaf in trees.items(draw()):
    mean, std = want[path.rpartition('/')[2]]
    assert abs(leaf.mean() - mean) < 0.02, path
    np.testing.assert_allclose(leaf.std(), std, rtol=0.1, err_msg=path)


def test_another_seed_draws_other_parameters():
  assert trees.digest(draw(1)) == trees.digest(draw(1))
  assert trees.digest(draw(1)) != trees.digest(draw(2))
