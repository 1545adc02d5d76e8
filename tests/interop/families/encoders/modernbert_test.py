"""An imported ModernBERT computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup

FAMILY = families.FAMILIES['modernbert']
PUBLISHED = dict(
    architectures=['ModernBertForMaskedLM'], attention_bias=False,
    attention_dropout=0.0, bos_token_id=50281, classifier_activation='gelu',
    classifier_bias=False, classifier_dropout=0.0, classifier_pooling='mean',
    cls_token_id=50281, decoder_bias=True, deterministic_flash_attn=False,
    embedding_dropout=0.0, eos_token_id=50282, global_attn_every_n_layers=3,
    global_rope_theta=160000.0, gradient_checkpointing=False,
    hidden_activation='gelu', hidden_size=768, initializer_cutoff_factor=2.0,
    initializer_range=0.02, intermediate_size=1152, layer_norm_eps=1e-05,
    local_attention=128, local_rope_theta=10000.0, max_position_embeddings=8192,
    mlp_bias=False, mlp_dropout=0.0, model_type='modernbert', norm_bias=False,
    norm_eps=1e-05, num_attention_heads=12, num_hidden_layers=22,
    pad_token_id=50283, position_embedding_type='absolute', sep_token_id=50282,
    tie_word_embeddings=True, vocab_size=50368)
NAMES = {'head.dense.weight', 'decoder.bias'}


def test_a_published_config_is_the_preset():
  assert family_lib.computing(
      FAMILY.config(PUBLISHED, NAMES)) == family_lib.computing(
          lookup.named('modernbert_base'))


@pytest.mark.parametrize('name', ['modernbert_base', 'modernbert_large'])
def test_a_preset_is_written_and_read_as_the_same_model(name):
  config = lookup.named(name).with_vocab(1000)
  names = {each for row in FAMILY.rows(config) for each in row.names}
  assert family_lib.computing(FAMILY.config(
      FAMILY.fields(config), names)) == family_lib.computing(config)


@pytest.mark.parametrize('change', [
    dict(hidden_activation='mish'),
    dict(layer_types=['sliding_attention'] * 22), dict(num_experts=4)])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(PUBLISHED | change)
