"""An imported GPT-2 computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup

FAMILY = families.FAMILIES['gpt2']
# https://huggingface.co/openai-community/gpt2-medium
MEDIUM = dict(
    model_type='gpt2', activation_function='gelu_new', attn_pdrop=0.1,
    embd_pdrop=0.1, initializer_range=0.02, layer_norm_epsilon=1e-5, n_ctx=1024,
    n_embd=1024, n_head=16, n_layer=24, n_positions=1024, n_special=0,
    predict_special_tokens=True, resid_pdrop=0.1, summary_activation=None,
    summary_first_dropout=0.1, summary_proj_to_labels=True,
    summary_type='cls_index', summary_use_proj=True, vocab_size=50257)


def test_a_published_config_is_the_preset():
  assert family_lib.computing(FAMILY.config(MEDIUM)) == family_lib.computing(
      lookup.named('gpt2_medium'))


@pytest.mark.parametrize('name', ['tiny_gpt2', 'gpt2', 'gpt2_xl'])
def test_a_preset_is_written_and_read_back(name):
  config = lookup.named(name).with_vocab(50257)
  assert FAMILY.config(FAMILY.fields(config)) == config


@pytest.mark.parametrize('change', [
    dict(scale_attn_by_inverse_layer_idx=True), dict(add_cross_attention=True),
    dict(activation_function='mish'), dict(alibi=True)])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(MEDIUM | change)
