"""What holds for every tokenizer, the saved ones, and the training script."""
import json

import numpy as np
import pytest

from experiments import train_tokenizer
from lmjax.core import errors
from lmjax.data import facts
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import byte_bpe
from lmjax.data.tokenizers import specials
from lmjax.data.tokenizers import subwords
from lmjax.data.tokenizers import symbols
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.data.tokenizers import words

# Whatever text may hold: each must come back exactly.
HARD = [
    '', ' ', '  two  spaces ', 'tab\tnew\nline\r\nand\n\n\n', 'é中😀 ﬁ ①',
    'e\u0301 is not é', '\u2581 looks like a space \u2581', '\0 is NUL',
    '</s><s><unk><pad> <0x41>', '\u2585\u2047 \u2028\ufeff', 'x' * 5000,
]
DOCUMENTS = [
    'The quick brown fox jumps over the lazy dog.\n' * 3,
    'Wild zebras vex my big quartz sphinx; jackdaws love it.', *HARD]
CONFIGS = [
    symbols.Bytes(), symbols.Bytes(bos=False, eos=False),
    symbols.Characters(), symbols.Characters(bos=False),
    subwords.SentencePiece(vocab_size=400),
    subwords.SentencePiece(vocab_size=420, model='bpe', eos=False),
    byte_bpe.ByteBPE(vocab_size=300), byte_bpe.ByteBPE(300, eos=False)]


@pytest.fixture(scope='module')
def built():
  """Each config with the tokenizer it builds."""
  return {config: config.build(DOCUMENTS) for config in CONFIGS}


@pytest.mark.parametrize('config', CONFIGS, ids=repr)
def test_text_comes_back_exactly_and_never_becomes_a_control_id(built, config):
  tokenizer = built[config]
  for text in HARD:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert b''.join(map(tokenizer.token_bytes, ids)) == text.encode()
    assert not {tokenizer.bos_id, tokenizer.eos_id}.intersection(ids.tolist())
    assert ids.dtype == np.uint16 and tokenizer.dtype == ids.dtype


@pytest.mark.parametrize('size', [1, 2, 7, 100])
@pytest.mark.parametrize('config', [*CONFIGS, words.Words()], ids=repr)
def test_a_long_text_is_encoded_in_parts_as_in_one(monkeypatch, config, size):
  whole = specials.Extended(config.build(DOCUMENTS), ['[MASK]'])
  want = [whole.encode_document(text).tolist() for text in DOCUMENTS]
  monkeypatch.setattr(facts, '_PART', size)
  monkeypatch.setattr(subwords, '_LONG', size)
  parts = specials.Extended(config.build(DOCUMENTS), ['[MASK]'])
  assert parts.digest == whole.digest
  for text, ids in zip(DOCUMENTS, want):
    found = list(parts.document_parts(text))
    assert np.concatenate(found).tolist() == ids
    assert all(part.dtype == parts.dtype for part in found)
  joined, lengths = parts.encode_documents(DOCUMENTS)
  assert joined.tolist() == sum(want, [])
  assert lengths.tolist() == list(map(len, want))


def test_an_unknown_character_is_placed_in_the_whole_text(monkeypatch):
  monkeypatch.setattr(facts, '_PART', 3)
  with pytest.raises(errors.InputError, match=r"'z' .* at position 7 "):
    symbols.Characters().build(['ab']).encode('abababaz')


@pytest.mark.parametrize('config', CONFIGS, ids=repr)
def test_documents_begin_and_end_by_the_stated_rule(built, config):
  tokenizer = built[config]
  ids = tokenizer.encode_document('fox').tolist()
  text = tokenizer.encode('fox').tolist()
  assert ids == (
      [tokenizer.bos_id] * config.bos + text + [tokenizer.eos_id] * config.eos)
  assert tokenizer.decode(ids) == 'fox'
  assert ('BOS' in tokenizer.describe()) == config.bos
  assert ('EOS' in tokenizer.describe()) == config.eos


@pytest.mark.parametrize('config', CONFIGS, ids=repr)
def test_many_documents_are_encoded_as_each_alone(built, config):
  tokenizer = built[config]
  ids, lengths = tokenizer.encode_documents(HARD)
  alone = [tokenizer.encode_document(text) for text in HARD]
  assert lengths.tolist() == [len(row) for row in alone]
  np.testing.assert_array_equal(ids, np.concatenate(alone))
  assert ids.dtype == tokenizer.dtype


@pytest.mark.parametrize('config', CONFIGS, ids=repr)
def test_a_saved_tokenizer_is_the_same(built, config, tmp_path):
  tokenizer = built[config]
  tokenizer.save(tmp_path)
  loaded = tokenizer_lib.load(tmp_path)
  assert loaded.digest == tokenizer.digest
  assert loaded.describe() == tokenizer.describe()
  for text in HARD:
    np.testing.assert_array_equal(loaded.encode(text), tokenizer.encode(text))


@pytest.mark.parametrize('config', CONFIGS, ids=repr)
def test_unknown_ids_and_characters_are_refused(built, config):
  tokenizer = built[config]
  for token in -1, tokenizer.vocab_size:
    with pytest.raises(errors.InputError, match=f'id {token} is outside'):
      tokenizer.decode([0, token])
    with pytest.raises(errors.InputError, match=f'id {token} is outside'):
      tokenizer.token_bytes(token)
  with pytest.raises(errors.InputError, match='lone surrogate|is not among'):
    tokenizer.encode('fox \ud800')
  with pytest.raises(errors.InputError, match='lone surrogate|is not among'):
    tokenizer.encode_documents(['fox', 'fox \ud800'])


def test_different_tokenizers_have_different_digests(built):
  assert len({tokenizer.digest for tokenizer in built.values()}) == len(built)


@pytest.mark.parametrize('change, message', [
    (lambda path: path.unlink(), 'no tokenizer at'),
    (lambda path: path.write_text('{"kind": '), 'is not a saved tokenizer'),
    (lambda path: path.write_text('{}'), 'is not a saved tokenizer'),
    (lambda path: path.write_text('{"kind": "Byte", "digest": ""}'),
     "Did you mean 'Bytes'"),
    (lambda path: path.write_text(
        path.read_text().replace('abc', 'abd')), 'was changed'),
], ids=['missing', 'cut', 'empty', 'unknown', 'edited'])
def test_a_damaged_saved_tokenizer_is_refused(tmp_path, change, message):
  symbols.Characters().build(['abc']).save(tmp_path)
  change(tmp_path / 'tokenizer.json')
  with pytest.raises(errors.InputError, match=message):
    tokenizer_lib.load(tmp_path)


def test_the_script_trains_on_the_training_split_alone(tmp_path):
  texts = tuple(f'document {i}: {chr(0x4e00 + i) * 9}' for i in range(60))
  config = train_tokenizer.TrainTokenizer(
      source=sources.InMemory(texts), split=splits.HashSplit(valid=0.4),
      tokenizer=subwords.SentencePiece(vocab_size=500))
  tokenizer = train_tokenizer.train_tokenizer(config, tmp_path)
  assert tokenizer_lib.load(tmp_path).digest == tokenizer.digest

  state = json.loads((tmp_path / 'tokenizer.json').read_text())
  assert state['kind'] == 'SentencePiece'
  for text in texts:  # A character never seen costs its three bytes.
    length = len(tokenizer.encode(text[-9:]))
    seen = config.split.name_of(text) == 'train'
    assert (length < 27) == seen
  assert 'documents, ' in train_tokenizer.report(config, tokenizer)
  with pytest.raises(errors.InputError, match='holds a tokenizer already'):
    train_tokenizer.train_tokenizer(config, tmp_path)
