"""An imported ELECTRA computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup

FAMILY = families.FAMILIES['electra']
PUBLISHED = dict(
    architectures=['ElectraForPreTraining'], attention_probs_dropout_prob=0.1,
    hidden_act='gelu', hidden_dropout_prob=0.1, hidden_size=256,
    initializer_range=0.02, intermediate_size=1024, layer_norm_eps=1e-12,
    max_position_embeddings=512, model_type='electra', num_attention_heads=4,
    num_hidden_layers=12, pad_token_id=0, type_vocab_size=2, use_cache=True,
    vocab_size=30522, embedding_size=128, summary_activation='gelu',
    summary_last_dropout=0.1, summary_type='first', summary_use_proj=True)
NAMES = {'discriminator_predictions.dense.weight'}


def test_a_published_config_is_the_preset():
  assert family_lib.computing(
      FAMILY.config(PUBLISHED, NAMES)) == family_lib.computing(
          lookup.named('electra_small'))


@pytest.mark.parametrize(
    'name', ['electra_small', 'electra_base', 'electra_small_generator'])
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
