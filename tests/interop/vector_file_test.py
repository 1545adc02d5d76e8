"""An embedding begins with the vectors of the words that a file has."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import words
from lmjax.interop import vector_file

FILE = 'the 1 2\ncat 3 4\nsat 5 6\n'


@pytest.fixture
def path(tmp_path):
  (tmp_path / 'x.txt').write_text(FILE)
  return str(tmp_path / 'x.txt')


def test_tokens_take_the_vectors_of_their_words(path):
  tokenizer = words.Words().build(['The cat ran', 'the dog'])
  found = vector_file.VectorFile(path).table((), tokenizer)
  by_word = {tokenizer.token_bytes(token).decode().strip(): row.tolist()
             for token, row in zip(found.rows, found.vectors_VD)}
  assert by_word == {'The': [1, 2], 'the': [1, 2], 'cat': [3, 4]}
  assert f'vectors of 3 of {tokenizer.vocab_size} tokens' in found.summary


def test_a_file_without_any_of_the_tokens_is_refused(path):
  tokenizer = words.Words().build(['Hunde bellen'])
  with pytest.raises(errors.InputError, match='3 words, but of none of the'):
    vector_file.VectorFile(path).table((), tokenizer)


def test_a_file_is_needed():
  with pytest.raises(errors.InputError, match='needs a file: --config.vectors'):
    vector_file.VectorFile().table((), words.Words().build(['a']))


def test_vectors_have_the_type_of_parameters(path):
  found = vector_file.VectorFile(path).table(
      (), words.Words().build(['cat']))
  assert found.vectors_VD.dtype == np.float32
