"""An imported ALBERT computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup
from tests.reference import parity
from tests.reference import parity_encoders

FAMILY = families.FAMILIES['albert']
SIZE = dict(
    vocab_size=211, embedding_size=24, hidden_size=48, intermediate_size=72,
    num_hidden_layers=3,
    num_attention_heads=6, max_position_embeddings=520)
CASES = {
    'pretraining': ('AlbertForPreTraining', {}),
    'masked': ('AlbertForMaskedLM', dict(hidden_act='gelu')),
    'pooled': ('AlbertModel', dict(layer_norm_eps=1e-3)),
}
PUBLISHED = dict(
    architectures=['AlbertForMaskedLM'], attention_probs_dropout_prob=0,
    bos_token_id=2, classifier_dropout_prob=0.1, down_scale_factor=1,
    embedding_size=128, eos_token_id=3, gap_size=0, hidden_act='gelu_new',
    hidden_dropout_prob=0, hidden_size=768, initializer_range=0.02,
    inner_group_num=1, intermediate_size=3072, layer_norm_eps=1e-12,
    max_position_embeddings=512, model_type='albert', net_structure_type=0,
    num_attention_heads=12, num_hidden_groups=1, num_hidden_layers=12,
    num_memory_blocks=0, pad_token_id=0, type_vocab_size=2, vocab_size=30000)
NAMES = {
    'albert.pooler.weight',
    'predictions.bias',
    'sop_classifier.classifier.weight'}


def case(folder, name, written=None, **changes):
  _, transformers = parity.torch_and_transformers()
  head, own = CASES[name]
  return parity.case(
      folder, transformers.AlbertConfig(**SIZE | own | changes), head,
      **written or {})


def test_a_published_config_is_the_preset():
  assert family_lib.computing(
      FAMILY.config(PUBLISHED, NAMES)) == family_lib.computing(
          lookup.named('albert_base'))


@pytest.mark.parametrize('name', ['albert_base', 'albert_large'])
def test_a_preset_is_written_and_read_as_the_same_model(name):
  config = lookup.named(name).with_vocab(1000)
  names = {each for row in FAMILY.rows(config) for each in row.names}
  assert family_lib.computing(FAMILY.config(
      FAMILY.fields(config), names)) == family_lib.computing(config)


@pytest.mark.parametrize('change', [
    dict(num_hidden_groups=2), dict(inner_group_num=2),
    dict(hidden_act='mish'), dict(position_embedding_type='relative_key')])
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
    dict(layer_norm_eps=1e-4), dict(hidden_act='gelu'),
    dict(num_attention_heads=8), dict(num_hidden_layers=4)])
def test_a_wrong_field_is_far_outside_of_the_tolerance(written, tmp_path):
  found = case(tmp_path, 'pretraining', written)
  assert parity_encoders.error(found) > 4 * parity.LOGITS
