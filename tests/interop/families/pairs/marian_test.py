"""Marian writes the table of its fixed positions into its files."""
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.interop import families
from lmjax.interop.families.pairs import marian
from lmjax.nn import layers
from lmjax.nn import positions
from tests.reference import parity

FAMILY = families.FAMILIES['marian']
PUBLISHED = dict(  # https://huggingface.co/Helsinki-NLP/opus-mt-en-de
    model_type='marian', vocab_size=58101, decoder_vocab_size=58101,
    d_model=512, encoder_layers=6, decoder_layers=6, num_hidden_layers=6,
    encoder_ffn_dim=2048, decoder_ffn_dim=2048, encoder_attention_heads=8,
    decoder_attention_heads=8, max_position_embeddings=512,
    activation_function='swish', scale_embedding=True, normalize_before=False,
    normalize_embedding=False, static_position_embeddings=True,
    add_bias_logits=False, add_final_layer_norm=False)


def test_a_published_config_is_written_as_it_was_read():
  names = {'model.shared.weight', 'final_logits_bias'}
  config = FAMILY.config(PUBLISHED, names)
  assert config.head.bias and config.embed.scale == 'sqrt_width'
  tree = FAMILY.fields(config)
  written = {name: tree[name] for name in PUBLISHED if name in tree}
  assert written == {name: PUBLISHED[name] for name in written} | dict(
      activation_function='silu')
  assert FAMILY.config(tree, names) == config


def test_the_table_of_positions_is_that_of_the_model():
  table_TD = marian.sinusoids((6, 8))
  x_BTD = positions.Sinusoidal().embed(
      jnp.zeros((1, 6, 8)), jnp.arange(6)[None], 6, layers.Policy())
  np.testing.assert_allclose(table_TD, x_BTD[0], atol=1e-6)


@pytest.mark.slow
def test_the_table_of_positions_is_that_of_the_reference():
  _, transformers = parity.torch_and_transformers()
  module = transformers.models.marian.modeling_marian
  table = module.MarianSinusoidalPositionalEmbedding(90, 16).create_weight()
  np.testing.assert_allclose(table, marian.sinusoids((90, 16)), atol=1e-6)
