"""Parallel branches against the formula in plain loops."""
import jax
import numpy as np
import pytest

from lmjax.nn import attend
from lmjax.nn import attention
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions
from lmjax.nn.residual import parallel
from lmjax.testing import hot
from tests.reference import blocks

X = jax.random.normal(jax.random.key(1), (2, 4, 16))


@pytest.mark.parametrize('own', [None, layers.LayerNorm(1e-3)],
                         ids=['one norm', 'two norms'])
def test_both_branches_read_the_same_stream(own):
  config = parallel.Parallel(
      mixer=attention.AttentionConfig(4, 2, bias=False),
      mlp=layers.MLPConfig(24, 'relu'), norm=layers.LayerNorm(1e-3),
      mlp_norm=own)
  module = config.module()(
      config, layers.Policy(), positions.NoPositions(), attend.plain)
  arguments = (X, None, masks.of_length(4), None, None, False)
  params = hot.hot_params(jax.eval_shape(
      lambda: module.init(jax.random.key(0), *arguments))['params'])
  got, _ = jax.jit(lambda params: module.apply(
      {'params': params}, *arguments))(params)
  assert ('mlp_norm' in params) == (own is not None)
  for row in (0, 1):
    x = np.asarray(X[row], np.float64)
    def normed(name):
      return blocks.layer_norm(
          x, params[name]['scale'], params[name]['bias'], 1e-3)
    want = (x + blocks.attention(normed('mixer_norm'), params['mixer'])
            + blocks.mlp(normed('mlp_norm' if own else 'mixer_norm'),
                         params['mlp']))
    np.testing.assert_allclose(got[row], want, atol=2e-5)


@pytest.mark.slow
def test_each_branch_is_dropped_by_itself():
  config = parallel.Parallel(
      mixer=attention.AttentionConfig(4), mlp=layers.MLPConfig(24),
      dropout=0.5)
  module = config.module()(
      config, layers.Policy(), positions.NoPositions(), attend.plain)
  arguments = (X, None, masks.of_length(4), None, None)
  params = jax.tree.map(
      lambda leaf: np.zeros(leaf.shape, leaf.dtype), jax.eval_shape(
          lambda: module.init(jax.random.key(0), *arguments, False))['params'])
  params['mixer']['out']['bias'] += 1.0
  params['mlp']['out']['bias'] += 2.0
  got, _ = module.apply({'params': params}, *arguments, True,
                        rngs={'dropout': jax.random.key(0)})
  assert set(np.unique(np.round((got - X) / 2))) == {0, 1, 2, 3}
