"""An imported GPT-J computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup

FAMILY = families.FAMILIES['gptj']
PUBLISHED = dict(  # https://huggingface.co/EleutherAI/gpt-j-6b
    model_type='gptj', architectures=['GPTJForCausalLM'],
    activation_function='gelu_new', attn_pdrop=0.0, bos_token_id=50256,
    embd_pdrop=0.0, eos_token_id=50256, gradient_checkpointing=False,
    initializer_range=0.02, layer_norm_epsilon=1e-5, n_embd=4096, n_head=16,
    n_inner=None, n_layer=28, n_positions=2048, resid_pdrop=0.0, rotary=True,
    rotary_dim=64, scale_attn_weights=True, summary_activation=None,
    summary_first_dropout=0.1, summary_proj_to_labels=True,
    summary_type='cls_index', summary_use_proj=True, tie_word_embeddings=False,
    tokenizer_class='GPT2Tokenizer', use_cache=True, vocab_size=50400)


def test_a_published_config_is_the_preset():
  assert family_lib.computing(FAMILY.config(PUBLISHED)) == (
      family_lib.computing(lookup.named('gptj_6b')))


@pytest.mark.parametrize('name', [
    'gptj_6b'])
def test_a_preset_is_written_and_read_back(name):
  tree = FAMILY.fields(lookup.named(name))
  assert FAMILY.fields(FAMILY.config(tree)) == tree


@pytest.mark.parametrize('change', [
    dict(rotary=False), dict(scale_attn_weights=False), dict(rotary_dim=None),
    dict(activation_function='mish')])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(PUBLISHED | change)


def test_the_number_of_rotated_dimensions_is_exact():
  # 30 / 44 * 44 is less than 30 in floating point.
  changes = dict(n_embd=44 * 16, rotary_dim=30)
  found = FAMILY.config(PUBLISHED | changes)
  assert int(found.positions.fraction * 44) == 30
  assert FAMILY.fields(found)['rotary_dim'] == 30
