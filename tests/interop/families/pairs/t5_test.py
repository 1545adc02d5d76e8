"""An imported T5 computes what the reference computes."""
import json

import pytest
import safetensors.numpy

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.interop import importing
from lmjax.interop.mapping import rows
from lmjax.models import cost
from lmjax.models.presets import encoder_decoders
from lmjax.models.presets import lookup
from lmjax.testing import hot
from tests.reference import parity

FAMILY = families.FAMILIES['t5']
PUBLISHED = dict(
    architectures=['T5ForConditionalGeneration'], d_ff=2048, d_kv=64,
    d_model=768, decoder_start_token_id=0, dropout_rate=0.1, eos_token_id=1,
    feed_forward_proj='gated-gelu', initializer_factor=1.0,
    is_encoder_decoder=True, layer_norm_epsilon=1e-06, model_type='t5',
    num_decoder_layers=12, num_heads=12, num_layers=12, output_past=True,
    pad_token_id=0, relative_attention_num_buckets=32,
    tie_word_embeddings=False, vocab_size=32128,
    # Later versions write these, too.
    is_gated_act=True, dense_act_fn='gelu_new')
NAMES = {'shared.weight', 'lm_head.weight'}


def test_a_published_config_is_the_preset():
  assert family_lib.computing(
      FAMILY.config(PUBLISHED, NAMES)) == family_lib.computing(
          lookup.named('t5_1_1_base'))


@pytest.mark.parametrize(
    'name', ['tiny_t5', 't5_small', 't5_1_1_small', 'mt5_small'])
def test_a_preset_is_written_and_read_as_the_same_model(name):
  config = lookup.named(name).with_vocab(1000)
  names = {each for row in FAMILY.rows(config) for each in row.names}
  assert family_lib.computing(FAMILY.config(
      FAMILY.fields(config), names)) == family_lib.computing(config)


@pytest.mark.parametrize('change', [
    dict(feed_forward_proj='gated-mish'), dict(is_decoder=True),
    dict(is_gated_act=False), dict(dense_act_fn='relu'),
    dict(is_encoder_decoder=False)])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(PUBLISHED | change)


@pytest.mark.slow
@pytest.mark.parametrize('model_type', ['t5', 'mt5'])
def test_an_untied_head_is_kept_by_the_reference(model_type, tmp_path):
  """Version 5 says `tie_word_embeddings` even of models that are not tied."""
  torch, transformers = parity.torch_and_transformers()
  config = encoder_decoders.t5(
      32, 1, 4, 48, vocab_size=61, context=64, head_size=8)
  params = hot.hot_params(cost.shapes(config))
  tensors = {name: tensor.read() for name, tensor in rows.write(
      FAMILY.rows(config), params)}
  safetensors.numpy.save_file(
      tensors, tmp_path / 'model.safetensors', metadata={'format': 'pt'})
  (tmp_path / 'config.json').write_text(json.dumps(
      FAMILY.fields(config) | {'model_type': model_type}))
  reference = transformers.AutoModelForSeq2SeqLM.from_pretrained(
      tmp_path).eval()
  reference.save_pretrained(tmp_path / 'again')
  ids_BT = parity.ids(61, length=20)
  with torch.no_grad():
    want_BTV = reference(
        input_ids=torch.from_numpy(ids_BT),
        decoder_input_ids=torch.from_numpy(ids_BT)).logits
  for folder in (tmp_path, tmp_path / 'again'):
    found = importing.load(folder)
    assert not found.config.head.tied
    assert parity.relative_error(parity.logits(
        parity.Case(reference, found, folder), ids_BT), want_BTV) < (
            parity.LOGITS)
