"""Byte-level BPE: trained, lossless, restored."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data import facts
from lmjax.data.tokenizers import byte_bpe
from lmjax.data.tokenizers import tokenizer as tokenizer_lib

TEXTS = ['the cat sat on the mat, the dog on the log.\n', 'é中 😀\t 12'] * 9
CONFIG = byte_bpe.ByteBPE(vocab_size=280)


def test_training_is_deterministic_and_streams():
  first, second = (CONFIG.build(iter(TEXTS)) for _ in range(2))
  assert first.files() == second.files() and first.digest == second.digest
  assert first.vocab_size == 280
  assert len(first.encode(' the cat')) < 5
  assert first.describe() == (
      'byte-level BPE, 280 ids; a document is BOS <s> (278) + '
      'tokens + EOS </s> (279)')


def test_a_small_corpus_gives_fewer_ids():
  assert 258 < byte_bpe.ByteBPE(vocab_size=9999).build(TEXTS).vocab_size < 999
  assert byte_bpe.ByteBPE(vocab_size=9999).build([]).vocab_size == 258
  with pytest.raises(errors.InputError, match='at least 258'):
    byte_bpe.ByteBPE(vocab_size=257)


def test_a_long_document_is_learned_as_its_pieces(monkeypatch):
  whole = CONFIG.build([' '.join(TEXTS)])
  monkeypatch.setattr(facts, '_PART', 7)
  assert CONFIG.build([' '.join(TEXTS)]).digest == whole.digest


def test_a_text_is_not_cut_within_a_run_of_whitespace(monkeypatch):
  text = 'a  \n  \nb ' * 20
  tokenizer = byte_bpe.ByteBPE(vocab_size=270).build([text])
  whole = tokenizer.encode(text).tolist()
  assert max(len(tokenizer.token_bytes(i).strip(b'ab')) for i in whole) > 2
  monkeypatch.setattr(facts, '_PART', 1)
  assert len(list(tokenizer.encode_parts(text))) > 9
  assert tokenizer.encode(text).tolist() == whole


def test_a_saved_tokenizer_is_the_same(tmp_path):
  tokenizer = byte_bpe.ByteBPE(vocab_size=280, bos=False).build(TEXTS)
  tokenizer.save(tmp_path)
  loaded = tokenizer_lib.load(tmp_path)
  assert type(loaded) is byte_bpe.ByteBpeTokenizer
  assert loaded.digest == tokenizer.digest
  np.testing.assert_array_equal(
      loaded.encode_document(TEXTS[1]), tokenizer.encode_document(TEXTS[1]))


def test_errors_of_the_source_pass_the_trainer():
  def documents():
    yield TEXTS[0]
    raise errors.InputError('shard.jsonl:2: not JSON')
  with pytest.raises(errors.InputError, match='shard.jsonl:2'):
    CONFIG.build(documents())
  with pytest.raises(errors.InputError, match='lone surrogate'):
    CONFIG.build(['\ud800'])
