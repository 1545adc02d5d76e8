"""Named sizes of XLNet have as many parameters as the released weights."""
import jax
import jax.numpy as jnp
import pytest

from lmjax.core import trees
from lmjax.models.presets import xlnets

PUBLISHED = {  # In the released weights, without the head's bias.
    'xlnet_base': 116_718_336,
}


@pytest.mark.parametrize('name', PUBLISHED)
def test_full_size_has_the_published_number_of_parameters(name):
  config = xlnets.PRESETS[name]
  shapes = jax.eval_shape(
      config.build().init, jax.random.key(0), jnp.zeros((1, 2), jnp.int32))
  assert trees.count(shapes) == PUBLISHED[name] + config.vocab_size


def test_the_toy_leaves_its_vocabulary_to_the_tokenizer():
  assert xlnets.PRESETS['tiny_xlnet'].with_vocab(7).vocab_size == 7
