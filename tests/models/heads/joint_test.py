"""Two heads on one pass: each is what it is on its own."""
import jax
import numpy as np
import pytest

from lmjax.models.heads import chain
from lmjax.models.heads import joint
from lmjax.models.heads import pooled
from lmjax.models.heads import token
from lmjax.models.presets import decoders
from lmjax.testing import hot

TINY = decoders.gpt2(8, 1, 2, vocab_size=11, context=8)
INPUTS = np.array([[3, 4, 5, 6, 0, 0], [7, 8, 9, 1, 2, 10]], np.int32)
SEGMENTS = np.array([[1, 1, 1, 1, 0, 0], [1] * 6], np.int32)
ARGS = INPUTS, np.arange(6, dtype=np.int32)[None] * SEGMENTS, SEGMENTS


@pytest.mark.slow
@pytest.mark.parametrize('tagger', [token.TokenConfig(), chain.CRFConfig()])
def test_classes_and_tags_are_those_of_heads_on_their_own(tagger):
  model = joint.Joint(tagger, 'max', TINY, 4, 3, head='both')
  shapes = jax.eval_shape(model.init, jax.random.key(0), *ARGS)['params']
  params = hot.hot_params(shapes, std=0.4)
  classes = pooled.PooledConfig(pooling='max', causal=False).build(
      TINY, 4, head='both_classes')
  tags = tagger.build(TINY, 3, head='both_tags')
  found, alone = jax.jit(lambda params: (
      model.apply({'params': params}, *ARGS),
      [each.apply({'params': params}, *ARGS) for each in (classes, tags)])
                         )(params)
  np.testing.assert_allclose(found.classes_BC, alone[0], atol=1e-6)
  jax.tree.map(lambda mine, theirs: np.testing.assert_allclose(
      mine, theirs, atol=1e-6), found.tags, alone[1])
