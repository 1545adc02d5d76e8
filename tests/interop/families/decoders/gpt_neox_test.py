"""An imported GPT-NeoX computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup

FAMILY = families.FAMILIES['gpt_neox']
PUBLISHED = dict(  # https://huggingface.co/EleutherAI/pythia-160m
    model_type='gpt_neox', architectures=['GPTNeoXForCausalLM'],
    bos_token_id=0, eos_token_id=0, hidden_act='gelu', hidden_size=768,
    initializer_range=0.02, intermediate_size=3072, layer_norm_eps=1e-5,
    max_position_embeddings=2048, num_attention_heads=12, num_hidden_layers=12,
    rotary_emb_base=10000, rotary_pct=0.25, tie_word_embeddings=False,
    torch_dtype='float16', transformers_version='4.24.0', use_cache=True,
    use_parallel_residual=True, vocab_size=50304)


def test_a_published_config_is_the_preset():
  assert family_lib.computing(FAMILY.config(PUBLISHED)) == (
      family_lib.computing(lookup.named('pythia_160m')))


@pytest.mark.parametrize('name', [
    'pythia_70m', 'pythia_1b', 'pythia_12b', 'gpt_neox_20b'])
def test_a_preset_is_written_and_read_back(name):
  tree = FAMILY.fields(lookup.named(name))
  assert FAMILY.fields(FAMILY.config(tree)) == tree


@pytest.mark.parametrize('change', [
    dict(hidden_act='mish'), dict(clip_qkv=8.0), dict(rope_theta=20_000.0),
    dict(partial_rotary_factor=0.5)])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(PUBLISHED | change)
