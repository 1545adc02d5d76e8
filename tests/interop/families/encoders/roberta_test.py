"""An imported RoBERTa computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup
from tests.reference import parity
from tests.reference import parity_encoders

FAMILY = families.FAMILIES['roberta']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=2,
    num_attention_heads=6, max_position_embeddings=522,
    type_vocab_size=1, layer_norm_eps=1e-5)
CASES = {
    'masked': ('RobertaForMaskedLM', {}),
    'pooled': ('RobertaModel', dict(type_vocab_size=2)),
    'other offset': ('RobertaForMaskedLM', dict(
        pad_token_id=3, max_position_embeddings=524, hidden_act='relu')),
}
PUBLISHED = dict(
    architectures=['RobertaForMaskedLM'], attention_probs_dropout_prob=0.1,
    hidden_act='gelu', hidden_dropout_prob=0.1, hidden_size=768,
    initializer_range=0.02, intermediate_size=3072, layer_norm_eps=1e-05,
    max_position_embeddings=514, model_type='roberta', num_attention_heads=12,
    num_hidden_layers=12, pad_token_id=1, type_vocab_size=1, use_cache=True,
    vocab_size=50265, bos_token_id=0, eos_token_id=2)
NAMES = {'lm_head.dense.weight'}


def case(folder, name, written=None, **changes):
  _, transformers = parity.torch_and_transformers()
  head, own = CASES[name]
  return parity.case(
      folder, transformers.RobertaConfig(**SIZE | own | changes), head,
      **written or {})


def test_a_published_config_is_the_preset():
  assert family_lib.computing(
      FAMILY.config(PUBLISHED, NAMES)) == family_lib.computing(
          lookup.named('roberta_base'))


@pytest.mark.parametrize(
    'name', ['roberta_base', 'roberta_large', 'xlm_r_base'])
def test_a_preset_is_written_and_read_as_the_same_model(name):
  config = lookup.named(name).with_vocab(1000)
  names = {each for row in FAMILY.rows(config) for each in row.names}
  assert family_lib.computing(FAMILY.config(
      FAMILY.fields(config), names)) == family_lib.computing(config)


@pytest.mark.parametrize('change', [
    dict(position_embedding_type='relative_key'), dict(is_decoder=True),
    dict(add_cross_attention=True), dict(hidden_act='mish')])
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
    dict(layer_norm_eps=1e-4), dict(hidden_act='gelu_new'),
    dict(num_attention_heads=8), dict(pad_token_id=0)])
def test_a_wrong_field_is_far_outside_of_the_tolerance(written, tmp_path):
  found = case(tmp_path, 'masked', written)
  assert parity_encoders.error(found) > 4 * parity.LOGITS
