"""An imported RoBERTa computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup

FAMILY = families.FAMILIES['roberta']
PUBLISHED = dict(
    architectures=['RobertaForMaskedLM'], attention_probs_dropout_prob=0.1,
    hidden_act='gelu', hidden_dropout_prob=0.1, hidden_size=768,
    initializer_range=0.02, intermediate_size=3072, layer_norm_eps=1e-05,
    max_position_embeddings=514, model_type='roberta', num_attention_heads=12,
    num_hidden_layers=12, pad_token_id=1, type_vocab_size=1, use_cache=True,
    vocab_size=50265, bos_token_id=0, eos_token_id=2)
NAMES = {'lm_head.dense.weight'}


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
