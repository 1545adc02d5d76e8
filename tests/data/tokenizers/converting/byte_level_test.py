"""The files of GPT-2 and of tiktoken."""
import base64
import json

import pytest

from lmjax.data.tokenizers import library
from lmjax.data.tokenizers import spelling
from lmjax.data.tokenizers.converting import byte_level

LETTERS = spelling.byte_letters()


def vocab(*tokens):
  """Returns the 256 bytes followed by tokens."""
  return {token: i for i, token in enumerate(
      [*(LETTERS[byte] for byte in range(256)), *tokens])}


def ranks(*tokens):
  """Returns a .tiktoken file of the bytes followed by tokens."""
  raws = [bytes([i]) for i in range(256)] + list(tokens)
  return b''.join(base64.b64encode(raw) + f' {i}\n'.encode()
                  for i, raw in enumerate(raws))


def test_files_of_gpt2_give_its_ids_and_no_frame():
  spec, roles = byte_level.of_files(
      vocab('Ġa', 'Ġab', '<|endoftext|>'), '#version: 0.2\nĠ a\nĠa b\n')
  tokenizer = library.LibraryTokenizer(spec, roles)
  assert tokenizer.encode(' ab ac\n').tolist() == [257, 256, 99, 10]
  assert tokenizer.eos_id == 258 and tokenizer.bos_id is None
  assert tokenizer.frame(2).ids == ((), (), ())


def test_a_vocabulary_with_mask_has_the_frame_of_roberta():
  spec, roles = byte_level.of_files(
      vocab('<s>', '<pad>', '</s>', '<unk>', '<mask>'), '')
  tokenizer = library.LibraryTokenizer(spec, roles)
  s, end = (tokenizer.specials[name] for name in ('<s>', '</s>'))
  assert tokenizer.frame().ids == ((s,), (), (end,))
  assert tokenizer.frame(2).ids == ((s,), (end, end), (end,))
  assert tokenizer.frame(2).types == ((0,), (0, 0), (0,))
  assert tokenizer.special('[MASK]') == tokenizer.special('<mask>')
  with_mask = tokenizer.encode_with_specials('a <mask>b').tolist()
  assert with_mask == [97, tokenizer.special('[MASK]'), 98]  # Takes the space.


@pytest.mark.parametrize('merges, message', [
    ('Ġ a\nonly', "two tokens; got 'only'"), ('a b c', 'two tokens'),
    ('Ġ zz', "needs the token 'zz'"), ('a b', "needs the token 'ab'")])
def test_merges_of_unknown_tokens_are_refused(merges, message):
  with pytest.raises(ValueError, match=message):
    byte_level.of_files(vocab('Ġa'), merges)


def test_ranks_are_merged_lowest_first():
  spec, roles = byte_level.of_ranks(ranks(b'ab', b'bc', b'abcd'))
  tokenizer = library.LibraryTokenizer(spec, roles)
  assert tokenizer.encode('abc').tolist() == [256, 99]
  assert tokenizer.encode('xabcd').tolist() == [120, 256, 99, 100]
  assert tokenizer.encode('abcd').tolist() == [258]  # As a whole.
  assert tokenizer.bos_id is None


def test_specials_follow_the_ranks():
  spec, roles = byte_level.of_ranks(
      ranks(), specials=byte_level.llama3_specials())
  tokenizer = library.LibraryTokenizer(spec, roles)
  assert len(byte_level.llama3_specials()) == 256 == len(
      set(byte_level.llama3_specials()))
  assert tokenizer.encode_document('a').tolist() == [256, 97]
  assert tokenizer.special('<|eot_id|>') == 256 + 9
  assert tokenizer.encode('<|eot_id|>').max() < 256


@pytest.mark.parametrize('line', [b'YQ==', b'YQ= 3', b'YQ== x', b'!! 3'])
def test_a_damaged_line_of_ranks_is_named(line):
  with pytest.raises(ValueError, match='line 257 should be'):
    byte_level.of_ranks(ranks() + line)


@pytest.mark.slow
def test_gpt2_gives_the_published_number_of_tokens(shared_data):
  folder = shared_data / 'tokenizers/gpt2'
  tokenizer = library.LibraryTokenizer(*byte_level.of_files(
      json.loads((folder / 'encoder.json').read_text()),
      (folder / 'vocab.bpe').read_text()))
  text = (shared_data / 'tinyshakespeare/input.txt').read_text()
  assert len(tokenizer.encode(text)) == 338_025
  assert tokenizer.encode('Hello world').tolist() == [15496, 995]
