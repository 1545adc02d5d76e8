"""The vocab.txt of BERT."""
import pytest

from lmjax.data.tokenizers import library
from lmjax.data.tokenizers.converting import word_pieces

PIECES = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'hello', 'Hello',
          'wor', '##ld', ',', 'é', 'e', '中']


def built(**options):
  spec, roles = word_pieces.of_vocab(PIECES, **{'lower': True} | options)
  return library.LibraryTokenizer(spec, roles)


@pytest.mark.parametrize('options, text, pieces', [
    ({}, 'Hello, world', ['hello', ',', 'wor', '##ld']),
    ({'lower': False}, 'Hello hello', ['Hello', 'hello']),
    ({}, 'É', ['e']), ({'accents': False}, 'É', ['é']),
    ({'lower': False}, 'é', ['é']), ({}, '中中', ['中', '中']),
    ({'chinese': False}, '中中', ['[UNK]']),
    ({}, '[MASK]', ['[UNK]'] * 3), ({}, 'zz', ['[UNK]'])])
def test_text_becomes_pieces(options, text, pieces):
  assert [PIECES[i] for i in built(**options).encode(text)] == pieces


def test_texts_have_the_frame_of_bert():
  tokenizer = built()
  assert tokenizer.encode_document('hello').tolist() == [2, 5, 3]
  assert tokenizer.frame(2).ids == ((2,), (3,), (3,))
  assert tokenizer.frame(2).types == ((0,), (0,), (1,))
  assert (tokenizer.bos_id, tokenizer.eos_id) == (2, 3)


def test_a_piece_that_occurs_twice_is_refused():
  with pytest.raises(ValueError, match="'hello' has ids 5 and 13"):
    word_pieces.of_vocab([*PIECES, 'hello'], lower=True)


def test_a_vocabulary_without_its_specials_is_refused():
  with pytest.raises(ValueError, match=r'should have \[CLS\]'):
    word_pieces.of_vocab(['[UNK]', 'a'], lower=True)
