"""The part of a tokenizer that all share."""
import numpy as np
import pytest

from lmjax.data.tokenizers import symbols
from lmjax.data.tokenizers import vocabulary
from lmjax.testing import faults


class Wide(vocabulary.Tokenizer):
  """A tokenizer with more ids than 16 bits hold."""
  name, vocab_size, bos_id, eos_id = 'wide', 2**16 + 1, None, 2**16

  def encode(self, text):
    return np.arange(len(text), dtype=self.dtype)


def test_ids_are_as_narrow_as_the_vocabulary_allows():
  assert symbols.Bytes().build().dtype == np.uint16
  assert Wide().dtype == np.uint32
  assert Wide().encode_document('ab').tolist() == [0, 1, 2**16]
  assert Wide().encode_document('ab').dtype == np.uint32


def test_documents_are_joined_by_the_rule_of_each():
  ids, lengths = Wide().encode_documents(['ab', '', 'c'])
  end = Wide.eos_id
  assert ids.tolist() == [0, 1, end, end, 0, end]
  assert lengths.tolist() == [3, 1, 2]


def test_a_document_without_rule_is_its_tokens():
  tokenizer = symbols.Bytes(bos=False, eos=False).build()
  assert tokenizer.encode_document('ab').tolist() == [97, 98]


def test_ids_may_come_from_any_iterable():
  tokenizer = symbols.Bytes().build()
  assert tokenizer.decode(i for i in [256, 104, 105, 257]) == 'hi'
  assert tokenizer.decode(np.array([104, 105])) == 'hi'


def test_what_a_subclass_lacks_is_named():
  with pytest.raises(TypeError, match='Wide should define decode'):
    Wide().decode([0])


def test_the_same_tokenizer_is_not_written_again(tmp_path):
  symbols.Bytes().build().save(tmp_path)
  with faults.read_only(tmp_path):
    symbols.Bytes().build().save(tmp_path)
    with pytest.raises(OSError):
      symbols.Characters().build(['abc']).save(tmp_path)


@pytest.mark.parametrize('bos, eos, first', [
    (7, 8, 7), (None, 8, 8), (None, None, None)])
def test_a_text_alone_follows_bos_or_eos(bos, eos, first):
  tokenizer = vocabulary.Tokenizer()
  tokenizer.bos_id, tokenizer.eos_id = bos, eos
  assert tokenizer.first_id == first
