"""Products with parameters that are arrays, and with new kinds of leaves."""
import dataclasses

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models import cost
from lmjax.models import lstm
from lmjax.models.presets import decoders
from lmjax.nn import kernels
from lmjax.nn import layers
from lmjax.nn import positions
from lmjax.nn import recurrent
from lmjax.nn import ssm
from lmjax.nn.mixture import experts
from lmjax.testing import hot

GPT = decoders.gpt2(16, 2, 2, vocab_size=13, context=16)
IDS = jax.random.randint(jax.random.key(0), (2, 7), 0, 13)


@struct.dataclass
class Low(kernels.Kernel):
  """A matrix plus a product of two thin ones, stored apart and transposed."""
  left_DR: jax.Array  # First, where a check of one leaf's shape would look.
  right_RF: jax.Array
  kernel_FD: jax.Array

  @property
  def shape(self):
    return self.kernel_FD.shape[:-2] + self.kernel_FD.shape[:-3:-1]

  def array(self, dtype):
    return (self.kernel_FD.swapaxes(-1, -2) + self.left_DR @ self.right_RF
            ).astype(dtype)

  @classmethod
  def of(cls, path, leaf):
    rng = np.random.default_rng(len(path))
    left, right = (
        0.1 * rng.normal(size=shape).astype(np.float32) for shape in (
            (*leaf.shape[:-1], 2), (*leaf.shape[:-2], 2, leaf.shape[-1])))
    return cls(left, right, np.swapaxes(leaf, -1, -2))


@struct.dataclass
class Rounded(kernels.Kernel):
  """A matrix as int8 and a scale a column, which products and rows use."""
  whole_DF: jax.Array
  scale_1F: jax.Array

  @property
  def shape(self):
    return self.whole_DF.shape

  def array(self, dtype):
    return (self.whole_DF * self.scale_1F).astype(dtype)

  def product(self, x, *, transposed=False, wide=False):
    if transposed:
      return kernels.product(
          x * self.scale_1F, self.whole_DF, x.dtype, transposed=True, wide=wide)
    y = kernels.product(x, self.whole_DF, x.dtype, wide=wide)
    return y * self.scale_1F

  def rows(self, ids, dtype):
    return (kernels.rows(self.whole_DF, ids, dtype) * self.scale_1F[None]
            ).astype(dtype)

  @classmethod
  def of(cls, path, leaf):
    scale = np.abs(leaf).max(axis=-2, keepdims=True) / 127
    return cls(np.round(leaf / scale).astype(np.int8), scale)


def replaced(params, kind):
  """Returns the parameters with every matrix in another form."""
  def convert(path, leaf):
    name = path[-1].key
    matrix = name in ('kernel', 'embedding', 'recurrent_kernel')
    return kind.of(path, np.asarray(leaf)) if matrix else leaf
  return jax.tree_util.tree_map_with_path(convert, params)


def arrays(params):
  """Returns the parameters with every matrix as the array it stands for."""
  is_kernel = lambda leaf: isinstance(leaf, kernels.Kernel)
  return jax.tree.map(lambda leaf: leaf.array('float32') if is_kernel(leaf)
                      else leaf, params, is_leaf=is_kernel)


def mixing(**changes):
  return dataclasses.replace(
      GPT, positions=positions.NoPositions(),
      block=dataclasses.replace(GPT.block, **changes))


MODELS = {
    'tied': GPT,
    'scanned': dataclasses.replace(GPT, scan=True, remat='full'),
    'untied': decoders.llama(
        16, 1, 2, 1, 24, vocab_size=13, context=16, tied=False),
    'experts': mixing(mlp=experts.MixtureOfExperts(hidden=8, num_experts=2)),
    'ssm': mixing(mixer=ssm.SSMConfig(num_heads=2)),
    'lstm': lstm.RecurrentConfig(
        vocab_size=13, context=16, width=8, num_layers=1,
        cell=recurrent.LSTMConfig(hidden=8)),
}


@pytest.mark.parametrize('kind', [Low, pytest.param(
    Rounded, marks=pytest.mark.slow)])
@pytest.mark.parametrize('name', [
    name if name in ('scanned', 'untied', 'lstm')
    else pytest.param(name, marks=pytest.mark.slow) for name in MODELS])
def test_a_new_kind_of_leaf_passes_through_a_whole_model(name, kind):
  if kind is Rounded and name in ('experts', 'scanned'):
    pytest.skip('Rounded scales one matrix, not several.')
  model = MODELS[name].build()
  params = replaced(hot.hot_params(cost.shapes(MODELS[name])), kind)
  apply = jax.jit(lambda p: model.apply({'params': p}, IDS)[0])
  np.testing.assert_allclose(
      apply(params), apply(arrays(params)), rtol=2e-4, atol=2e-4)


@pytest.mark.slow
def test_a_new_kind_of_leaf_has_gradients():
  model = MODELS['scanned'].build()
  params = replaced(hot.hot_params(cost.shapes(MODELS['scanned'])), Low)
  gradient = jax.jit(jax.grad(
      lambda p: jnp.sum(model.apply({'params': p}, IDS)[0] ** 2)))
  both = [gradient(p)['layers']['mlp']['in']['kernel']
          for p in (params, arrays(params))]
  assert isinstance(both[0], Low)
  np.testing.assert_allclose(
      both[0].kernel_FD.swapaxes(1, 2), both[1], rtol=1e-3, atol=1e-3)
  assert np.abs(both[0].left_DR).min() > 0


def test_a_leaf_of_another_shape_is_refused():
  layer = layers.Dense(3, layers.Policy(), use_bias=False, name='out')
  kernel = Low.of((), np.ones((5, 2)))
  with pytest.raises(errors.InputError, match=r'kernel .*\(5, 3\).*Low.*\(5, 2'):
    layer.apply({'params': {'kernel': kernel}}, jnp.ones((1, 5)))


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_products_are_rounded_unless_wide(dtype):
  x, kernel = jax.random.normal(jax.random.key(0), (2, 4, 33))
  y = kernels.product(x, kernel.T, dtype)
  wide = kernels.product(x, kernel, dtype, transposed=True, wide=True)
  assert (y.dtype, wide.dtype) == (jnp.dtype(dtype), jnp.float32)
  want = np.asarray(x.astype(dtype), np.float64) @ np.asarray(
      kernel.astype(dtype), np.float64).T
  np.testing.assert_allclose(wide, want, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(
      np.float32(y), want, atol=1e-5 if dtype == 'float32' else 0.1)


def test_rows_past_the_table_are_nan():
  table = np.arange(6.0, dtype=np.float32).reshape(3, 2)
  for each in (jnp.asarray(table), Low.of((), table)):
    found = kernels.rows(each, jnp.array([2, 3]), 'float32')
    assert np.isfinite(found[0]).all() and np.isnan(found[1]).all()
