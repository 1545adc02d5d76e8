"""Pieces with scores: merges by score, unigrams, and the files of llama2.c."""
import base64
import struct

import pytest

from lmjax.data.tokenizers import library
from lmjax.data.tokenizers.converting import scored

BYTES = [f'<0x{byte:02X}>' for byte in range(256)]
FIRST = ['<unk>', '<s>', '</s>', *BYTES]
WORDS = ['▁a', 'ab', '▁ab', '▁', 'a', 'b']
TYPES = [2, 3, 3, *[6] * 256, *[1] * len(WORDS)]


def pieces(algorithm='bpe', **options):
  scores = [0.0] * len(FIRST) + [-float(i) for i in range(len(WORDS))]
  return scored.Pieces(FIRST + WORDS, scores, TYPES, algorithm, **(
      {'prefix': True} | options))


def encoded(found, text):
  tokenizer = library.LibraryTokenizer(found.spec(), {'unk': '<unk>'})
  ids = tokenizer.encode(text)
  return [found.names[i] for i in ids], tokenizer.decode(ids)


@pytest.mark.parametrize('text, expected', [
    ('ab', ['▁ab']), ('bab', ['▁', 'b', 'ab']), ('', []),
    ('é', ['▁', '<0xC3>', '<0xA9>']), ('a  b', ['▁a', '▁', '▁', 'b'])])
def test_the_highest_score_is_merged_first(text, expected):
  found, decoded = encoded(pieces(), text)
  assert found == expected and decoded == text


@pytest.mark.parametrize('scores, expected', [
    ([-1.0, -2.0], ['▁a', 'b']), ([-2.0, -1.0], ['▁', 'ab'])])
def test_of_two_merges_that_overlap_the_better_is_made(scores, expected):
  names = ['<unk>', '▁', 'a', 'b', '▁a', 'ab']
  found = scored.Pieces(
      names, [0.0] * 4 + scores, [2, *[1] * 5], 'bpe', prefix=True)
  assert encoded(found, 'ab')[0] == expected


def test_a_unigram_is_the_most_probable_path():
  assert encoded(pieces('unigram'), 'ab')[0] == ['▁ab']


def test_the_name_of_a_byte_is_read_as_its_letters():
  letters = list('<0x41>')
  found = scored.Pieces(FIRST + letters, [0.0] * 259 + [-9.0] * 6,
                        TYPES[:259] + [1] * 6, 'unigram', prefix=False)
  assert encoded(found, '<0x41>A') == ([*letters, '<0x41>'], '<0x41>A')


def test_spaces_are_kept_unless_squeezed():
  assert encoded(pieces(prefix=False), ' a ')[1] == ' a '
  assert encoded(pieces(squeezed=True), '  a   b  ')[1] == 'a b'


def test_user_defined_pieces_are_found_before_merges():
  types = [*TYPES[:-6], *[1] * 4, 1, scored.Type.USER_DEFINED]
  found = scored.Pieces(FIRST + WORDS, [0.0] * len(TYPES), types, 'bpe', True)
  assert encoded(found, 'ab')[0] == ['▁a', 'b']
  assert found.of_type(scored.Type.USER_DEFINED) == ['b']


@pytest.mark.parametrize('changes, message', [
    ({'scores': [0.0]}, '1 scores'), ({'types': [1] * 265}, 'no piece for unk'),
    ({'scores': [float('nan')] * 265}, 'finite')])
def test_pieces_that_do_not_fit_are_refused(changes, message):
  given = {'names': FIRST + WORDS, 'scores': [0.0] * 265, 'types': TYPES}
  with pytest.raises(ValueError, match=message):
    scored.Pieces(**given | changes, algorithm='bpe', prefix=True)


def test_a_piece_that_occurs_twice_is_refused():
  found = scored.Pieces(['<unk>', 'a', 'a'], [0.0] * 3, [2, 1, 1], 'bpe', True)
  with pytest.raises(ValueError, match='occurs twice'):
    found.spec()


def llama2c(names=None):
  names = names or ['<unk>', '\n<s>\n', '\n</s>\n', *BYTES, ' ', ' a']
  return struct.pack('<i', 8) + b''.join(
      struct.pack('<fi', -float(i), len(name.encode())) + name.encode()
      for i, name in enumerate(names))


def test_a_file_of_llama2c_is_read():
  found = scored.of_llama2c(llama2c())
  assert found.names[:3] == ['<unk>', '<s>', '</s>']
  assert found.names[-2:] == ['▁', '▁a'] and found.scores[-1] == -260
  assert encoded(found, 'é')[1] == 'é'


@pytest.mark.parametrize('content, message', [
    (b'', 'longest piece'), (b'\0' * 8, 'longest piece'),
    (llama2c()[:-1], 'cut or damaged'), (llama2c()[:-5], 'within a piece'),
    (llama2c(['a', 'b']), 'first pieces should be'),
    (struct.pack('<ifi', 8, 0.0, 2**30), 'cut or damaged'),
    (struct.pack('<ifi', 8, 0.0, -1), 'cut or damaged')])
def test_a_damaged_file_of_llama2c_is_refused(content, message):
  with pytest.raises(ValueError, match=message):
    scored.of_llama2c(content)


def test_a_charsmap_is_handed_to_the_library():
  charsmap = base64.b64encode(b'some').decode()
  normalizers = pieces(charsmap=charsmap).spec()['normalizer']['normalizers']
  assert normalizers[0] == {
      'type': 'Precompiled', 'precompiled_charsmap': charsmap}
