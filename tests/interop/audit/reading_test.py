import types

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import specials
from lmjax.data.tokenizers import symbols
from lmjax.interop.audit import reading
from lmjax.models.presets import decoders
from lmjax.models.presets import encoder_decoders
from lmjax.models.presets import encoders
from lmjax.models import xlnet

IDS = np.arange(10, 210)
PLAIN = symbols.ByteTokenizer(bos=True, eos=True)
MARKED = specials.Extended(PLAIN, ('[MASK]',))
SENTINELS = types.SimpleNamespace(
    bos_id=None, eos_id=9, start_id=None, specials={},
    sentinel_ids=(300, 301, 302, 303))


def rows(config, tokenizer, length=28):
  how = reading.of(types.SimpleNamespace(config=config), tokenizer)
  return list(how.rows(tokenizer, IDS, length))


def test_causal_rows_predict_each_token_from_those_before_it():
  row, after = rows(
      decoders.gpt2(8, 1, 2, vocab_size=9, context=30), PLAIN)[:2]
  assert row['inputs'][0, :3].tolist() == [256, 10, 11]
  assert row['targets'][0, :3].tolist() == [10, 11, 12]
  assert after['targets'][0, 0] == 38 == IDS[after['places'][0, 0]]
  assert row['weights'].sum() == 24  # The first 4 have little context.


def test_masked_rows_hide_what_they_predict():
  row = rows(encoders.bert(8, 1, 2), MARKED)[0]
  chosen = row['weights'] > 0
  assert row['inputs'].shape == (3, 28) and row['inputs'][0, 0] == 256
  assert np.all(row['inputs'][chosen] == MARKED.special('[MASK]'))
  assert np.array_equal(row['targets'][chosen], IDS[row['places'][chosen]])
  assert np.all(row['inputs'][~chosen] == row['targets'][~chosen])


def test_rows_of_an_order_predict_without_hiding():
  row = rows(xlnet.XLNetConfig(vocab_size=9), PLAIN)[0]
  assert np.array_equal(row['order'], row['weights'])
  assert np.array_equal(row['inputs'], row['targets'])


def test_spans_are_hidden_behind_sentinels():
  row = rows(encoder_decoders.t5(8, 1, 2, 16), SENTINELS)[0]
  assert row['encoder_inputs'][1].tolist() == [
      10, 11, 12, 300, *range(16, 24), 24, 25, 26, 301, *range(30, 38), 9]
  assert row['inputs'][1].tolist() == [300, 13, 14, 15, 301, 27, 28, 29]
  assert row['targets'][1].tolist() == [13, 14, 15, 301, 27, 28, 29, 302]
  counted = row['weights'] > 0
  assert np.array_equal(row['targets'][counted], IDS[row['places'][counted]])


def test_a_published_decoder_reads_its_start_id_first():
  started = types.SimpleNamespace(**vars(SENTINELS) | {'start_id': 5})
  row = rows(encoder_decoders.t5(8, 1, 2, 16), started)[0]
  assert row['inputs'][1].tolist() == [5, 300, 13, 14, 15, 301, 27, 28, 29]
  assert row['targets'][1].tolist() == [300, 13, 14, 15, 301, 27, 28, 29, 302]
  document = types.SimpleNamespace(
      bos_id=8, eos_id=9, start_id=9, specials={}, sentinel_ids=())
  copied = rows(encoder_decoders.bart(8, 1, 2), document)[0]
  assert copied['inputs'][0, :3].tolist() == [9, 8, 10]
  assert copied['targets'][0, :3].tolist() == [8, 10, 11]
  for each in row, copied:
    counted = each['weights'] > 0
    assert np.array_equal(
        each['targets'][counted], IDS[each['places'][counted]])


def test_without_sentinels_the_decoder_repeats_its_source():
  row = rows(encoder_decoders.bart(8, 1, 2), MARKED)[0]
  assert row['encoder_inputs'][0, 0] == 256
  assert row['encoder_inputs'][0, -1] == 257
  assert row['targets'].shape == (1, 26)


def test_a_model_that_predicts_no_tokens_is_refused():
  with pytest.raises(errors.InputError, match='predicts no tokens'):
    rows(encoders.electra(8, 1, 2), MARKED)
