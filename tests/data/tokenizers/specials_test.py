"""Specials are ids beyond text: nothing becomes them, nothing prints them."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import specials
from lmjax.data.tokenizers import symbols
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.data.tokenizers import vocabulary


@pytest.fixture
def tokenizer():
  return specials.Extended(
      symbols.Characters().build(['ab ba']), ('[MASK]', '[CLS]'), sentinels=2)


def test_ids_follow_those_of_text(tokenizer):
  assert tokenizer.vocab_size == 3 + 2 + 2 + 2
  assert tokenizer.specials == {
      '[MASK]': 5, '[CLS]': 6, '<extra_id_0>': 7, '<extra_id_1>': 8}
  assert tokenizer.sentinel_ids == (7, 8)
  assert tokenizer.control_ids == (3, 4, 5, 6, 7, 8)
  assert tokenizer.special('[CLS]') == 6


def test_text_is_encoded_as_before(tokenizer):
  ids = tokenizer.encode_document('a b')
  assert ids.tolist() == [3, 1, 0, 2, 4]
  joined, lengths = tokenizer.encode_documents(['a b', 'b'])
  assert joined.tolist() == [3, 1, 0, 2, 4, 3, 2, 4]
  assert lengths.tolist() == [5, 3]


def test_specials_decode_to_no_text(tokenizer):
  assert tokenizer.decode([1, 5, 7, 2]) == 'ab'
  assert tokenizer.token_bytes(5) == b'' and tokenizer.token_bytes(1) == b'a'
  with pytest.raises(errors.InputError, match='9 is outside'):
    tokenizer.decode([9])


def test_whitespace_and_specials_begin_words(tokenizer):
  assert tokenizer.word_starts.tolist() == [True, False, False] + 6 * [True]
  raw = symbols.Bytes().build().word_starts
  assert np.flatnonzero(raw).tolist() == [
      9, 10, 11, 12, 13, 32, *range(0xe3, 0xea),  # The latter begin Chinese.
      256, 257]  # BOS and EOS.
  assert not symbols.Bytes().build().word_ends.any()


def test_a_missing_special_is_named(tokenizer):
  with pytest.raises(errors.InputError, match=r'no \[SEP\].*\[MASK\], \[CLS\]'):
    tokenizer.special('[SEP]')
  with pytest.raises(errors.InputError, match='ids for text'):
    symbols.Bytes().build().special('[MASK]')


def test_a_repeated_name_is_refused():
  base = symbols.Bytes().build()
  with pytest.raises(errors.InputError, match=r'\[A\] occurs twice'):
    specials.Extended(base, ('[A]', '[A]'))
  with pytest.raises(errors.InputError, match='at least 0; got -1'):
    specials.Extended(base, (), -1)


def test_saved_and_loaded(tokenizer, tmp_path):
  tokenizer.save(tmp_path)
  again = tokenizer_lib.load(tmp_path)
  assert again.digest == tokenizer.digest
  assert again.specials == tokenizer.specials
  assert again.encode('ab').tolist() == [1, 2]
  plain = symbols.Characters().build(['ab ba'])
  assert plain.digest != tokenizer.digest


def test_ids_are_as_wide_as_the_last_special_needs():
  class Full(vocabulary.Tokenizer):
    vocab_size, bos_id, eos_id = 2**16, None, None
    def encode(self, text):
      return np.array([2**16 - 1], self.dtype)
    def files(self):
      return {'model': b'x'}
  both = specials.Extended(Full(), ('[MASK]',))
  assert Full().encode('').dtype == np.uint16
  assert both.encode('').dtype == both.encode_all(['', ''])[0].dtype == np.uint32
  assert both.files() == {'model': b'x'}
