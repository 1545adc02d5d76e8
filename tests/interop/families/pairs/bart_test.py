"""An imported BART computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup

FAMILY = families.FAMILIES['bart']
PUBLISHED = dict(
    activation_dropout=0.1, activation_function='gelu', add_bias_logits=False,
    add_final_layer_norm=False, architectures=['BartModel'],
    attention_dropout=0.1, bos_token_id=0, classif_dropout=0.1,
    classifier_dropout=0.0, d_model=768, decoder_attention_heads=12,
    decoder_ffn_dim=3072, decoder_layerdrop=0.0, decoder_layers=6,
    decoder_start_token_id=2, dropout=0.1, early_stopping=True,
    encoder_attention_heads=12, encoder_ffn_dim=3072, encoder_layerdrop=0.0,
    encoder_layers=6, eos_token_id=2, forced_eos_token_id=2, init_std=0.02,
    is_encoder_decoder=True, max_position_embeddings=1024, model_type='bart',
    no_repeat_ngram_size=3, normalize_before=False, normalize_embedding=True,
    num_beams=4, num_hidden_layers=6, pad_token_id=1, scale_embedding=False,
    vocab_size=50265)
NAMES = {'model.shared.weight'}


def test_a_published_config_is_the_preset():
  assert family_lib.computing(
      FAMILY.config(PUBLISHED, NAMES)) == family_lib.computing(
          lookup.named('bart_base'))


@pytest.mark.parametrize('name', ['bart_base', 'bart_large'])
def test_a_preset_is_written_and_read_as_the_same_model(name):
  config = lookup.named(name).with_vocab(1000)
  names = {each for row in FAMILY.rows(config) for each in row.names}
  assert family_lib.computing(FAMILY.config(
      FAMILY.fields(config), names)) == family_lib.computing(config)


@pytest.mark.parametrize('change', [
    dict(normalize_before=True), dict(normalize_embedding=False),
    dict(add_final_layer_norm=True), dict(static_position_embeddings=True),
    dict(decoder_ffn_dim=1024), dict(decoder_attention_heads=8),
    dict(activation_function='mish'), dict(tie_word_embeddings=False)])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(PUBLISHED | change)
