"""Bytes and characters."""
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import symbols


def test_bytes_are_their_own_ids():
  tokenizer = symbols.Bytes().build()
  assert tokenizer.encode_document('é').tolist() == [256, 0xc3, 0xa9, 257]
  assert tokenizer.vocab_size == 258
  assert symbols.Bytes(bos=False).build().eos_id == 256


def test_half_a_character_decodes_to_u_fffd():
  tokenizer = symbols.Bytes().build()
  assert tokenizer.decode([97, 0xc3]) == 'a\ufffd'


def test_characters_are_numbered_by_code_point():
  tokenizer = symbols.Characters().build(['cab', 'ad\n'])
  assert tokenizer.alphabet == '\nabcd'
  assert tokenizer.encode('bad').tolist() == [2, 1, 4]
  assert (tokenizer.bos_id, tokenizer.eos_id) == (5, 6)
  assert tokenizer.vocab_size == 7


@pytest.mark.parametrize('unknown', ['e', '\x01', 'Ç', '😀'])
def test_an_unknown_character_is_named_with_its_place(unknown):
  tokenizer = symbols.Characters().build(['abcd'])
  with pytest.raises(errors.InputError) as told:
    tokenizer.encode('ab' + unknown)
  assert repr(unknown) in str(told.value)
  assert 'position 2' in str(told.value)


def test_an_unknown_character_has_its_place_in_its_document():
  tokenizer = symbols.Characters().build(['abcd'])
  with pytest.raises(errors.InputError, match='position 1 '):
    tokenizer.encode_documents(['abcd', 'ax'])


def test_characters_without_text_are_refused():
  with pytest.raises(errors.InputError, match='got none'):
    symbols.Characters().build([])


def test_tiny_shakespeare_has_its_65_characters(shared_data):
  text = (shared_data / 'tinyshakespeare/input.txt').read_text()
  tokenizer = symbols.Characters(bos=False, eos=False).build([text])
  assert tokenizer.vocab_size == 65
  assert tokenizer.encode('First').tolist() == [18, 47, 56, 57, 58]
