"""The head of a model that writes is its own output layer."""
import jax
import numpy as np
import pytest

from lmjax.core import trees
from lmjax.models import cost
from lmjax.models import encoder_decoder
from lmjax.models.heads import next_token
from lmjax.models.presets import decoders

INPUTS = np.array([[3, 4, 5, 0]], np.int32)
SEGMENTS = np.array([[1, 1, 1, 0]], np.int32)
POSITIONS = np.arange(4, dtype=np.int32)[None] * SEGMENTS


@pytest.mark.parametrize('backbone', [
    decoders.llama(16, 1, 2, 2, 16, vocab_size=11, context=8),
    encoder_decoder.EncoderDecoderConfig(
        vocab_size=11, width=16, num_layers=1, context=8)])
def test_all_parameters_of_the_backbone_are_there_and_no_others(backbone):
  model = next_token.NextToken(backbone)
  made = lambda: model.init_with_output(
      jax.random.key(0), INPUTS, POSITIONS, SEGMENTS)
  logits_BTV, variables = jax.eval_shape(made)
  assert logits_BTV.shape == (1, 4, 11)
  assert dict(trees.items(variables['params'])) == dict(
      trees.items(cost.shapes(backbone)))
  assert next_token.body(model).config == backbone
