"""An imported ALBERT computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup

FAMILY = families.FAMILIES['albert']
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
