"""An imported GPT-Neo computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.interop import families
from lmjax.models import cost

FAMILY = families.FAMILIES['gpt_neo']
PUBLISHED = dict(  # https://huggingface.co/EleutherAI/gpt-neo-125m
    model_type='gpt_neo', architectures=['GPTNeoForCausalLM'],
    activation_function='gelu_new', attention_dropout=0,
    attention_layers=['global', 'local'] * 6,
    attention_types=[[['global', 'local'], 6]], bos_token_id=50256,
    embed_dropout=0, eos_token_id=50256, gradient_checkpointing=False,
    hidden_size=768, initializer_range=0.02, intermediate_size=None,
    layer_norm_epsilon=1e-5, max_position_embeddings=2048, num_heads=12,
    num_layers=12, resid_dropout=0, summary_activation=None,
    summary_first_dropout=0.1, summary_proj_to_labels=True,
    summary_type='cls_index', summary_use_proj=True, use_cache=True,
    vocab_size=50257, window_size=256)


def test_a_published_config_is_the_published_model():
  found = FAMILY.config(PUBLISHED)
  assert trees.count(cost.shapes(found)) == 125_198_592
  assert [layer.block.mixer.window for layer in found.arrangement.layers] == [
      None, 256] * 6


def test_what_is_written_is_read_back():
  found = FAMILY.config(PUBLISHED)
  assert FAMILY.config(FAMILY.fields(found)) == found


@pytest.mark.parametrize('change', [
    dict(attention_types=[[['global'], 11]]), dict(attention_types=[1]),
    dict(attention_layers=['global'] * 12), dict(activation_function='mish')])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match='types|layers|activation'):
    FAMILY.config(PUBLISHED | change)
