"""An imported MPNet computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families

FAMILY = families.FAMILIES['mpnet']


PUBLISHED = dict(  # https://huggingface.co/microsoft/mpnet-base
    model_type='mpnet', attention_probs_dropout_prob=0.1, bos_token_id=0,
    eos_token_id=2, hidden_act='gelu', hidden_dropout_prob=0.1, hidden_size=768,
    initializer_range=0.02, intermediate_size=3072, layer_norm_eps=1e-5,
    max_position_embeddings=514, num_attention_heads=12, num_hidden_layers=12,
    pad_token_id=1, relative_attention_num_buckets=32, vocab_size=30527)


def test_a_published_config_is_written_as_it_was_read():
  names = {'lm_head.bias', 'mpnet.pooler.dense.bias'}
  config = FAMILY.config(PUBLISHED, names)
  assert config.context == 512
  assert FAMILY.config(FAMILY.fields(config), names) == config


@pytest.mark.parametrize('change', [
    dict(relative_attention_num_buckets=16), dict(hidden_act='mish'),
    dict(type_vocab_size=2)])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(PUBLISHED | change)
