"""An untied head of T5 is kept by the reference as by lmjax."""
import json

import pytest
import safetensors.numpy

from lmjax.interop import families
from lmjax.interop import importing
from lmjax.interop.mapping import rows
from lmjax.models import cost
from lmjax.models.presets import encoder_decoders
from lmjax.testing import hot
from tests.reference import parity

FAMILY = families.FAMILIES['t5']


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
