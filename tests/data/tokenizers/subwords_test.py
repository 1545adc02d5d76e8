"""SentencePiece: trained, loaded, damaged."""
import dataclasses

import numpy as np
import pytest
import sentencepiece

from lmjax.core import errors
from lmjax.data.tokenizers import subwords

TEXTS = ['the cat sat on the mat, the dog on the log.\n', 'a b c d e f\n'] * 9


@pytest.mark.parametrize('model', ['unigram', 'bpe'])
def test_training_is_deterministic_and_streams(model):
  config = subwords.SentencePiece(vocab_size=300, model=model)
  models = [config.build(iter(TEXTS)).files() for _ in range(2)]
  assert models[0] == models[1]


def test_whole_lines_are_learned_whatever_their_length():
  """The trainer itself drops a sentence of more than 4,192 bytes."""
  long = 'abracadabra ' * 3000
  tokenizer = subwords.SentencePiece(vocab_size=320).build([long])
  assert len(tokenizer.encode(long)) < len(long) / 5


def test_line_ends_and_tabs_are_pieces_of_their_own():
  tokenizer = subwords.SentencePiece(vocab_size=300).build(TEXTS)
  model = sentencepiece.SentencePieceProcessor(
      model_proto=tokenizer.files()['tokenizer.model'])
  pieces = [model.id_to_piece(int(i)) for i in tokenizer.encode('\n\t')]
  assert pieces == ['\n', '\t']


@pytest.mark.slow
def test_a_line_has_the_same_ids_wherever_it_is_in_a_document(shared_data):
  """The library's sums of scores are too coarse after 2 million characters."""
  text = (shared_data / 'tinyshakespeare/input.txt').read_text()
  tokenizer = subwords.SentencePiece(vocab_size=4096).build([text])
  once, twice = tokenizer.encode(text), tokenizer.encode(text * 2)
  np.testing.assert_array_equal(twice, np.tile(once, 2))
  joined, lengths = tokenizer.encode_all(['a', text * 2, 'b'])
  assert lengths[1] == len(twice)
  np.testing.assert_array_equal(joined[lengths[0]:-lengths[2]], twice)


def test_a_small_corpus_gives_fewer_ids_and_a_rich_one_fails():
  small = subwords.SentencePiece(vocab_size=5000).build(TEXTS)
  assert 256 < small.vocab_size < 5000
  with pytest.raises(errors.InputError, match='vocab_size=100'):
    subwords.SentencePiece(vocab_size=100).build(TEXTS)


def test_errors_of_the_source_pass_the_trainer():
  def documents():
    yield TEXTS[0]
    raise errors.InputError('shard.jsonl:2: not JSON')

  with pytest.raises(errors.InputError, match='shard.jsonl:2'):
    subwords.SentencePiece(vocab_size=300).build(documents())


def test_bytes_cut_within_a_character_decode_to_u_fffd():
  tokenizer = subwords.SentencePiece(vocab_size=300).build(TEXTS)
  ids = tokenizer.encode('cat 😀')
  assert tokenizer.decode(ids) == 'cat 😀'
  assert tokenizer.decode(ids[:-1]) == 'cat \ufffd'


@pytest.mark.parametrize('damage', [
    lambda raw: b'', lambda raw: raw[:len(raw) // 2], lambda raw: b'x' * 999,
    lambda raw: bytes(255 - byte for byte in raw),
], ids=['empty', 'half', 'garbage', 'flipped'])
def test_a_damaged_model_is_refused(tmp_path, damage):
  raw = subwords.SentencePiece(vocab_size=300).build(TEXTS).files()
  path = tmp_path / 'a.model'
  path.write_bytes(damage(raw['tokenizer.model']))
  with pytest.raises(errors.InputError, match='a.model'):
    subwords.SentencePiece(path=str(path)).build([])
  with pytest.raises(errors.InputError, match='No such file'):
    subwords.SentencePiece(path=str(tmp_path / 'b.model')).build([])


def test_loaded_models_keep_their_ids(shared_data):
  path = shared_data / 'tokenizers/llama2/tokenizer.model'
  tokenizer = subwords.SentencePiece(path=str(path)).build([])
  assert tokenizer.encode_document('Hello world').tolist() == [
      1, 15043, 3186, 2]
  for text in 'Hello world', ' Hello', 'a\n\tb', '</s>', '中😀':
    assert tokenizer.decode(tokenizer.encode(text)) == text
  assert 2 not in tokenizer.encode('</s>')


def test_a_model_without_bos_or_eos_is_refused(tmp_path):
  with open(tmp_path / 'a.model', 'wb') as file:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=file, vocab_size=30,
        hard_vocab_limit=False, bos_id=-1, minloglevel=2)
  config = subwords.SentencePiece(path=str(tmp_path / 'a.model'))
  with pytest.raises(errors.InputError, match='no BOS; set bos=False'):
    config.build([])
  tokenizer = dataclasses.replace(config, bos=False).build([])
  assert tokenizer.decode(tokenizer.encode('the cat')) == 'the cat'
