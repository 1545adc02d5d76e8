"""Words by frequency, and text that comes back as such data sets write it."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.data.tokenizers import words

TREEBANK = " no it was n't black monday \n but while the <unk> was \n"


def test_the_most_frequent_words_come_first():
  tokenizer = words.Words().build(['b a b\n', 'b c\n<unk>\n'])
  assert tokenizer.words == ['\n', 'b', '<unk>', 'a', 'c']
  assert tokenizer.encode('a  b\tz\n').tolist() == [3, 1, 2, 0]
  assert (tokenizer.bos_id, tokenizer.eos_id) == (None, None)
  with_ends = words.Words(bos=True, eos=True).build(['b a b\n'])
  assert with_ends.encode_document('b').tolist() == [4, 0, 5]


def test_a_limited_vocabulary_keeps_unk_and_line_end():
  tokenizer = words.Words(max_size=4).build(['a a a b b c\n'])
  assert tokenizer.words == ['a', 'b', '\n', '<unk>']
  assert tokenizer.vocab_size == 4
  assert tokenizer.encode('c b').tolist() == [3, 1]
  assert words.Words(max_size=2).build(['a a\n']).words == ['\n', '<unk>']


def test_a_line_end_that_never_occurs_is_no_word():
  tokenizer = words.Words().build(['a', 'b a'])
  assert tokenizer.words == ['a', 'b', '<unk>']
  assert tokenizer.encode('a\nb\n c').tolist() == [0, 1, 2]
  limited = words.Words(max_size=3).build(['a', 'b a', 'c b a'])
  assert limited.words == ['a', 'b', '<unk>']


def test_prepared_text_comes_back_exactly():
  tokenizer = words.Words(eos=True).build([TREEBANK])
  ids = tokenizer.encode_document(TREEBANK)
  assert tokenizer.decode(ids) == TREEBANK
  assert b''.join(map(tokenizer.token_bytes, ids)) == TREEBANK.encode()
  assert tokenizer.decode(tokenizer.encode('\n\nno\tit ')) == ' \n \n no it'


def test_many_documents_are_encoded_as_each_alone():
  tokenizer = words.Words(bos=True).build([TREEBANK])
  texts = [TREEBANK, '', 'was it']
  ids, lengths = tokenizer.encode_documents(texts)
  alone = [tokenizer.encode_document(text) for text in texts]
  assert lengths.tolist() == [len(row) for row in alone]
  np.testing.assert_array_equal(ids, np.concatenate(alone))
  assert ids.dtype == tokenizer.dtype == np.uint16


def test_a_saved_tokenizer_is_the_same(tmp_path):
  tokenizer = words.Words(bos=True).build([TREEBANK])
  tokenizer.save(tmp_path)
  loaded = tokenizer_lib.load(tmp_path)
  assert loaded.digest == tokenizer.digest
  np.testing.assert_array_equal(
      loaded.encode(TREEBANK), tokenizer.encode(TREEBANK))


def test_unknown_ids_and_lone_surrogates_are_refused():
  tokenizer = words.Words().build([TREEBANK])
  for token in -1, tokenizer.vocab_size:
    with pytest.raises(errors.InputError, match=f'id {token} is outside'):
      tokenizer.decode([0, token])
    with pytest.raises(errors.InputError, match=f'id {token} is outside'):
      tokenizer.token_bytes(token)
  with pytest.raises(errors.InputError, match='lone surrogate'):
    tokenizer.encode('fox \ud800')


@pytest.mark.parametrize('options, message', [
    ({'max_size': 1}, 'max_size should be at least 2'),
    ({'unk': 'a b'}, 'unk should be a single word'),
    ({'unk': ''}, 'unk should be a single word')])
def test_impossible_vocabularies_are_refused(options, message):
  with pytest.raises(errors.InputError, match=message):
    words.Words(**options)


def test_words_without_text_are_refused():
  with pytest.raises(errors.InputError, match='got none'):
    words.Words().build([])
