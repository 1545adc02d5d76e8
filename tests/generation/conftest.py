"""A small decoder with weights large enough to tell right from wrong."""
import dataclasses

import jax
import jax.numpy as jnp
import pytest

from lmjax.models import decoder
from lmjax.models import presets
from lmjax.nn import positions

V = 47
VARIANTS = {
    'learned': presets.gpt2(32, 2, 4, vocab_size=V, context=64),
    'rotary': presets.llama(
        32, 2, 4, 2, 48, vocab_size=V, context=64, tied=False),
    'alibi': dataclasses.replace(
        presets.gpt2(32, 2, 4, vocab_size=V, context=64),
        positions=positions.Alibi()),
    'scan': dataclasses.replace(
        presets.gpt2(32, 2, 4, vocab_size=V, context=64), scan=True),
}


def hot(config: decoder.DecoderConfig, seed=0):
  """Returns the model and weights of N(0, 0.15^2), norms near 1."""
  model = config.build()
  shapes = jax.eval_shape(
      model.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params']
  leaves, tree = jax.tree_util.tree_flatten_with_path(shapes)
  keys = jax.random.split(jax.random.key(seed), len(leaves))
  params = [
      0.15 * jax.random.normal(key, leaf.shape) + ('scale' in str(path))
      for key, (path, leaf) in zip(keys, leaves)]
  return model, jax.tree.unflatten(tree, params)


@pytest.fixture(scope='package', params=VARIANTS)
def any_model(request):
  """(model, params) for each way in which positions enter, and scanned."""
  return hot(VARIANTS[request.param])


@pytest.fixture(scope='package')
def model():
  """(model, params) of the GPT-2 style."""
  return hot(VARIANTS['learned'])
