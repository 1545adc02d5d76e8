"""A certificate notices a model or tokenizer that computes something else."""
import dataclasses
import json

import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data import chat
from lmjax.data.tokenizers import symbols
from lmjax.interop import certificate
from lmjax.models import cost
from lmjax.models import xlnet
from lmjax.models.presets import decoders
from lmjax.models.presets import encoder_decoders
from lmjax.models.presets import encoders
from lmjax.nn import layers
from lmjax.testing import hot

BYTES = symbols.Bytes().build()
CONFIG = decoders.llama(16, 2, 4, 2, 24, vocab_size=258, context=64)
PARAMS = hot.hot_params(cost.shapes(CONFIG))
MODELS = {
    'decoder': CONFIG,
    'encoder': encoders.bert(16, 1, 2, vocab_size=258, context=64),
    'encoder without a head': encoders.bert(
        16, 1, 2, vocab_size=258, context=64, tokens=None),
    'encoder-decoder': encoder_decoders.t5(
        16, 1, 2, 24, vocab_size=258, context=64, head_size=8),
    'two streams': xlnet.XLNetConfig(
        vocab_size=258, context=64, width=16, num_layers=1, num_heads=2,
        hidden=24),
}


def certify(config=CONFIG, params=PARAMS, tokenizer=BYTES, **options):
  return certificate.certify(config.build(), params, tokenizer, **options)


def written(folder, found):
  (folder / certificate.NAME).write_text(found.to_json())
  return folder


@pytest.mark.parametrize('name', MODELS)
def test_every_kind_of_model_can_be_certified(name):
  config = MODELS[name]
  found = certify(config, hot.hot_params(cost.shapes(config)))
  assert len(found.ids) == len(found.sums) == certificate.LENGTH
  assert found.std > 0
  assert found.tokens[1] == (32,)


def test_what_is_written_is_read(tmp_path):
  found = certify(template=chat.ChatTemplate('{{ messages[0].content }}'),
                  stop_ids=(257,))
  again = certificate.read(written(tmp_path, found))
  assert not certificate.differences(found, again)
  assert again.chat == certificate.MESSAGES[0]['content']
  path = tmp_path / certificate.NAME
  tree = json.loads(path.read_text())
  assert tree['text'] == certificate.TEXT
  del tree['start_ids']  # As in older ones.
  path.write_text(json.dumps(tree))
  assert certificate.read(tmp_path).start_ids == ()


@pytest.mark.slow
def test_summaries_are_those_of_the_logits():
  found = certify()
  logits_TV = np.asarray(CONFIG.build().apply(
      {'params': PARAMS}, np.array([found.ids]))[0][0], np.float64)
  np.testing.assert_allclose(found.sums, np.log(np.exp(logits_TV).sum(1)))
  np.testing.assert_array_equal(found.largest, logits_TV.argmax(1))
  weights_V = np.cos(np.arange(258)) / np.sqrt(129)
  np.testing.assert_allclose(
      found.projections, logits_TV @ weights_V, atol=1e-6)


def test_a_folder_without_a_certificate_has_none(tmp_path):
  assert certificate.read(tmp_path) is None


def test_the_same_model_passes():
  certificate.check(certify(stop_ids=(3, 4)), CONFIG.build(), PARAMS, BYTES,
                    stop_ids=(4, 3))


@pytest.mark.parametrize('change', [
    dict(final_norm=layers.RMSNorm(epsilon=1.2e-4)),
    dict(positions=dataclasses.replace(CONFIG.positions, theta=12_000.0)),
])
def test_a_model_that_computes_something_else_is_refused(change):
  other = dataclasses.replace(CONFIG, **change)
  with pytest.raises(errors.InputError, match='standard deviations'):
    certificate.check(certify(), other.build(), PARAMS, BYTES)


@pytest.mark.slow
def test_nan_is_refused():
  nan = jax.tree.map(lambda leaf: leaf * np.nan, PARAMS)
  with pytest.raises(errors.InputError, match='the outputs'):
    certificate.check(certify(), CONFIG.build(), nan, BYTES)


class Shouting(type(BYTES)):
  def encode(self, text):
    return super().encode(text.replace('café', 'CAFE'))


@pytest.mark.slow
@pytest.mark.parametrize('tokenizer, options, what', [
    (Shouting(True, True), {}, 'naïve café'),
    (BYTES, dict(stop_ids=(7,)), r'\[7\] instead of \[257\]'),
    (BYTES, dict(start_ids=(9,)), r'starts from .* \[9\] instead of \[8\]'),
    (BYTES, dict(template=chat.ChatTemplate('x')), 'the rendered chat'),
])
def test_another_tokenizer_is_refused(tokenizer, options, what):
  own = dict(stop_ids=(257,), start_ids=(8,),
             template=chat.ChatTemplate('y'))
  with pytest.raises(errors.InputError, match=what):
    certificate.check(certify(**own), CONFIG.build(), PARAMS, tokenizer,
                      **own | options)


@pytest.mark.parametrize('change', [
    lambda tree: tree.pop('sums'), lambda tree: tree['sums'].pop(),
    lambda tree: tree['tokens'].pop(), lambda tree: tree.update(version=2),
    lambda tree: tree.update(strings=['other']), lambda tree: tree.clear()])
def test_a_damaged_certificate_is_refused(tmp_path, change):
  tree = json.loads(certify().to_json())
  change(tree)
  (tmp_path / certificate.NAME).write_text(json.dumps(tree))
  with pytest.raises(errors.InputError, match='not a readable certificate'):
    certificate.read(tmp_path)
