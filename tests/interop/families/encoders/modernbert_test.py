"""An imported ModernBERT computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup
from tests.reference import parity
from tests.reference import parity_encoders

FAMILY = families.FAMILIES['modernbert']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=40, num_hidden_layers=5,
    num_attention_heads=6, max_position_embeddings=1024, local_attention=16,
    pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1,
    sep_token_id=2)
CASES = {
    'masked': ('ModernBertForMaskedLM', {}),
    'headless': ('ModernBertModel', dict(norm_eps=1e-3)),
    'biases': ('ModernBertForMaskedLM', dict(
        attention_bias=True, mlp_bias=True, norm_bias=True,
        classifier_bias=True, classifier_activation='relu')),
    'no bias of logits': ('ModernBertForMaskedLM', dict(decoder_bias=False)),
    'every other layer': ('ModernBertForMaskedLM', dict(
        layer_types=['full_attention', 'sliding_attention'] * 2
        + ['full_attention'])),
    'same wavelengths': ('ModernBertForMaskedLM', dict(
        global_rope_theta=20_000.0, local_rope_theta=20_000.0)),
}
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


def case(folder, name, written=None, **changes):
  _, transformers = parity.torch_and_transformers()
  head, own = CASES[name]
  return parity.case(
      folder, transformers.ModernBertConfig(**SIZE | own | changes), head,
      **written or {})


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


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_import_computes_what_the_reference_computes(name, tmp_path):
  parity_encoders.check(case(tmp_path, name))


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_export_is_the_import_reversed(name, tmp_path):
  parity_encoders.check_round_trip(case(tmp_path, name))


@pytest.mark.slow
@pytest.mark.parametrize('written', [
    dict(norm_eps=1e-4), dict(hidden_activation='gelu_new'),
    dict(num_attention_heads=8), dict(local_attention=18),
    dict(layer_types=['full_attention', 'sliding_attention'] * 2
         + ['full_attention'], global_attn_every_n_layers=2),
    dict(classifier_activation='gelu_new')])
def test_a_wrong_field_is_far_outside_of_the_tolerance(written, tmp_path):
  found = case(tmp_path, 'masked', written)
  assert parity_encoders.error(found) > 4 * parity.LOGITS
