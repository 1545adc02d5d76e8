"""Norms and multipliers of branches, against the formula in plain loops."""
import jax
import numpy as np
import pytest

from lmjax.nn import attend
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions
from lmjax.nn.residual import branch_norm
from lmjax.testing import hot
from tests.reference import blocks

POLICY = layers.Policy()
X = jax.random.normal(jax.random.key(1), (2, 4, 16))
BRANCHES = dict(mixer=attention.AttentionConfig(4, 2, bias=False),
                mlp=layers.MLPConfig(24, 'relu'))
GEMMA = layers.RMSNorm(1e-3, around_one=True)


def applied(config, x=X, train=False):
  """Returns a block's hot parameters and its output."""
  module = config.module()(
      config, POLICY, positions.NoPositions(), attend.plain)
  arguments = (x, None, masks.of_length(x.shape[1]), None, None, train)
  params = hot.hot_params(jax.eval_shape(lambda: module.init(
      dict(params=jax.random.key(0), dropout=jax.random.key(1)), *arguments)
  )['params'])
  return params, jax.jit(lambda params: module.apply(
      {'params': params}, *arguments,
      rngs={'dropout': jax.random.key(2)})[0])(params)


@pytest.mark.parametrize('config, names', [
    (branch_norm.BranchNorm(**BRANCHES, before=GEMMA, after=GEMMA), 4),
    (branch_norm.BranchNorm(**BRANCHES, before=None, after=GEMMA), 2),
    (branch_norm.BranchNorm(
        **BRANCHES, before=layers.RMSNorm(1e-3), after=None, multiplier=0.22),
     2),
    (branch_norm.BranchNorm(
        **BRANCHES, before=GEMMA, after=None, mlp_norm=layers.RMSNorm(1e-3)),
     2)], ids=['gemma2', 'olmo2', 'granite', 'own norm of the mlp'])
def test_branches_are_those_of_the_formula(config, names):
  params, got = applied(config)
  assert sum(name.endswith('_norm') for name in params) == names

  def norm(kind, name):
    if kind is None:
      return lambda x: x
    return lambda x: blocks.rms_norm(
        x, params[name]['scale'] + kind.around_one, 1e-3)

  for row in (0, 1):
    x = np.asarray(X[row], np.float64)
    for name, branch in (('mixer', blocks.attention), ('mlp', blocks.mlp)):
      own = config.mlp_norm if name == 'mlp' else None
      before = norm(own or config.before, f'{name}_norm')
      after = norm(config.after, f'{name}_out_norm')
      x = x + config.multiplier * after(branch(before(x), params[name]))
    np.testing.assert_allclose(got[row], x, atol=2e-5)


def test_without_a_multiplier_norms_before_are_pre_norm():
  config = branch_norm.BranchNorm(
      **BRANCHES, before=layers.LayerNorm(), after=None)
  params, got = applied(config)
  same, want = applied(block.PreNorm(**BRANCHES))
  assert jax.tree.structure(params) == jax.tree.structure(same)
  np.testing.assert_array_equal(got, want)


def test_both_branches_are_dropped_before_the_multiplier():
  config = branch_norm.BranchNorm(
      **BRANCHES, before=None, after=layers.RMSNorm(), multiplier=3.0,
      dropout=0.5)
  _, got = applied(config, train=True)
  kept = np.mean(np.asarray(got) != np.asarray(X))
  assert 0.6 < kept < 0.9  # An element survives one of two in 3 of 4 cases.
