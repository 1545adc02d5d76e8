"""Pretrained tokenizers that SentencePiece encodes."""
import io
import json

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import pretrained
from lmjax.data.tokenizers import sentences
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.data.tokenizers.converting import parts
from lmjax.data.tokenizers.converting import sentence_model

TEXTS = ['the fox', '', '  two  spaces ', '\u3000\u0364e\u0301 ﬁ',
         'a</s>b <unk>']


@pytest.fixture(scope='module')
def model():
  import sentencepiece
  written = io.BytesIO()
  sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=iter(['the quick brown fox jumps over lazy dogs'] * 9),
      model_writer=written, minloglevel=2, vocab_size=60,
      hard_vocab_limit=False, character_coverage=1.0)
  return written.getvalue()


@pytest.fixture(scope='module')
def reference(model):
  import sentencepiece
  return sentencepiece.SentencePieceProcessor(model_proto=model)


@pytest.fixture
def folder(tmp_path, model):
  (tmp_path / 'tokenizer.model').write_bytes(model)
  return tmp_path


def test_ids_are_those_of_sentencepiece(folder, reference):
  tokenizer = pretrained.read(folder)
  for text in TEXTS:
    assert tokenizer.encode(text).tolist() == reference.encode(text)
  ids, lengths = tokenizer.encode_all(TEXTS)
  rows = reference.encode(TEXTS)
  assert ids.tolist() == sum(rows, []) and lengths.tolist() == [*map(len, rows)]
  assert tokenizer.decode(reference.encode('the fox')) == 'the fox'
  assert tokenizer.word_prefix == ''


def test_added_tokens_are_found_in_text(folder):
  size = pretrained.read(folder).vocab_size
  (folder / 'added_tokens.json').write_text(json.dumps({'\n\n': size}))
  tokenizer = pretrained.read(folder)
  the, fox = tokenizer.encode('the'), tokenizer.encode('fox')
  assert tokenizer.encode('the\n\nfox').tolist() == [*the, size, *fox]


def test_spans_are_those_of_the_ids_of_sentencepiece(folder):
  tokenizer = pretrained.read(folder)
  for text in TEXTS:
    assert len(tokenizer.spans(text)) == len(tokenizer.encode(text))
  composed = 'e\u0301e'  # SentencePiece makes its first letter one character.
  assert tokenizer.spans(composed).tolist() == [[0, 0], [0, 2], [2, 3]]


def test_specials_are_encoded_only_when_asked(folder):
  tokenizer = pretrained.read(folder)
  assert tokenizer.eos_id not in tokenizer.encode('fox</s>')
  assert tokenizer.encode_with_specials('fox</s>').tolist() == [
      *tokenizer.encode('fox'), tokenizer.eos_id]


@pytest.mark.parametrize('name', ['', sentence_model.FAIRSEQ])
def test_a_saved_tokenizer_is_the_same(tmp_path, model, name):
  tokenizer = sentences.SentenceTokenizer(
      model, *sentence_model.of_model(model, name))
  tokenizer.save(tmp_path)
  loaded = tokenizer_lib.load(tmp_path)
  assert loaded.digest == tokenizer.digest
  assert loaded.describe() == tokenizer.describe()
  for text in TEXTS:
    np.testing.assert_array_equal(
        loaded.encode_document(text), tokenizer.encode_document(text))
  (tmp_path / sentences.FILE).write_bytes(model + model[:7])
  with pytest.raises(errors.InputError):
    tokenizer_lib.load(tmp_path)


def test_pieces_without_an_id_are_unknown(model):
  vocab = {'<unk>': 0, '</s>': 1, '▁the': 2}
  spec = parts.spec({'type': 'WordLevel', 'vocab': vocab, 'unk_token': '<unk>'})
  tokenizer = sentences.SentenceTokenizer(model, spec, {'unk': '<unk>'})
  assert set(tokenizer.encode('the fox').tolist()) <= {0, 2}
