"""Each text has the pooled hidden states of the backbone."""
import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.models import cost
from lmjax.models.heads import vectors
from lmjax.models.presets import decoders
from lmjax.testing import hot

TINY = decoders.gpt2(16, 1, 2, vocab_size=11, context=8)
INPUTS = np.array([[3, 4, 5, 0], [7, 8, 9, 1]], np.int32)
SEGMENTS = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], np.int32)
POSITIONS = np.arange(4, dtype=np.int32)[None] * SEGMENTS


def test_vectors_pool_the_states_of_real_tokens():
  model = vectors.VectorsConfig().build(TINY)
  shapes = jax.eval_shape(
      model.init, jax.random.key(0), INPUTS, POSITIONS, SEGMENTS)['params']
  assert {path for path, _ in trees.items(shapes)} == {
      path for path, _ in trees.items(cost.shapes(TINY))}
  params = hot.hot_params(shapes)
  found = model.apply({'params': params}, INPUTS, POSITIONS, SEGMENTS)
  alone = TINY.build().apply(
      {'params': params}, INPUTS[:1, :3], method='hidden')[0]
  np.testing.assert_allclose(found[0], alone[0].mean(axis=0), atol=1e-5)


def test_an_unknown_pooling_is_refused():
  with pytest.raises(errors.InputError, match="'sum'; choose from"):
    vectors.VectorsConfig(pooling='sum')
