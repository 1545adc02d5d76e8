"""An imported XLNet computes what the reference computes, in both streams."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup

FAMILY = families.FAMILIES['xlnet']
PUBLISHED = dict(
    architectures=['XLNetLMHeadModel'], attn_type='bi', bi_data=False,
    bos_token_id=1, clamp_len=-1, d_head=64, d_inner=3072, d_model=768,
    dropout=0.1, end_n_top=5, eos_token_id=2, ff_activation='gelu',
    initializer_range=0.02, layer_norm_eps=1e-12, mem_len=None,
    model_type='xlnet', n_head=12, n_layer=12, pad_token_id=5, reuse_len=None,
    same_length=False, start_n_top=5, summary_activation='tanh',
    summary_last_dropout=0.1, summary_type='last', summary_use_proj=True,
    untie_r=True, vocab_size=32000)
NAMES = frozenset()


def test_a_published_config_is_the_preset():
  assert family_lib.computing(
      FAMILY.config(PUBLISHED, NAMES)) == family_lib.computing(
          lookup.named('xlnet_base'))


@pytest.mark.parametrize('name', ['xlnet_base', 'xlnet_large'])
def test_a_preset_is_written_and_read_as_the_same_model(name):
  config = lookup.named(name).with_vocab(1000)
  names = {each for row in FAMILY.rows(config) for each in row.names}
  assert family_lib.computing(FAMILY.config(
      FAMILY.fields(config), names)) == family_lib.computing(config)


@pytest.mark.parametrize('change', [
    dict(attn_type='uni'), dict(clamp_len=64), dict(same_length=True),
    dict(untie_r=False), dict(d_head=32), dict(ff_activation='mish')])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(PUBLISHED | change)
