"""The characters that tokens are from, for every kind of tokenizer."""
from lmjax.data.tokenizers import byte_bpe
from lmjax.data.tokenizers.converting import word_pieces
from lmjax.data.tokenizers import library
from lmjax.data.tokenizers import offsets
from lmjax.data.tokenizers import specials
from lmjax.data.tokenizers import subwords
from lmjax.data.tokenizers import symbols
from lmjax.data.tokenizers import words
import numpy as np
import pytest

TEXT = "Über  Rom's\n$5,\t中文"
PIECES = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'uber', 'ro', '##m',
          "'", 's', '$', '5', '中')
MADE = {
    'bytes': (lambda: symbols.Bytes().build(), [
        'Ü', 'Ü', *'ber', '', '', *"Rom's", '', *'$5,', '', *'中中中文文文']),
    'characters': (lambda: symbols.Characters().build([TEXT]), [
        *'Über', '', '', *"Rom's", '', *'$5,', '', *'中文']),
    'words': (lambda: words.Words().build([TEXT]), [
        'Über', "Rom's", '', '$5,', '中文']),
    'unknown words': (lambda: words.Words().build(['Über']), [
        'Über', "Rom's", '$5,', '中文']),
    'WordPiece': (lambda: library.LibraryTokenizer(
        *word_pieces.of_vocab(PIECES, lower=True)), [
            'Über', 'Ro', 'm', "'", 's', '$', '5', ',', '中', '文']),
    'SentencePiece': (lambda: subwords.SentencePiece(vocab_size=280).build(
        ['Rom Rom Rom 中文 ab'] * 9), None),
    'byte-level BPE': (lambda: byte_bpe.ByteBPE(vocab_size=265).build(
        ['Rom Rom Rom 中文 ab'] * 9), None)}


@pytest.mark.parametrize('name', MADE)
def test_tokens_are_from_their_characters(name):
  build, want = MADE[name]
  tokenizer = build()
  spans = tokenizer.spans(TEXT)
  assert spans.shape == (len(tokenizer.encode(TEXT)), 2)
  found = [TEXT[start:end] for start, end in spans]
  if want is not None:
    assert found == want
  covered = np.zeros(len(TEXT), bool)
  for start, end in spans:
    covered[start:end] = True
  assert covered.tolist() == [not letter.isspace() for letter in TEXT]
  assert (spans[1:] >= spans[:-1]).all()
  more = specials.Extended(tokenizer, ['[X]'])
  np.testing.assert_array_equal(more.spans(TEXT), spans)
  assert tokenizer.spans('').shape == (0, 2)


def test_normalised_and_unknown_tokens_are_from_what_they_replace():
  text = 'a ﬁn x½ ＋b'
  found = offsets.aligned(
      text, [b'a', b' f', b'in', b' ?', '1⁄2'.encode(), b'!!', b'b'])
  assert [text[start:end] for start, end in found] == [
      'a', 'ﬁ', 'ﬁn', 'x', '½', '＋', 'b']
  assert offsets.aligned('ab', [b'?', b'?']).tolist() == [[0, 2], [0, 2]]
  assert offsets.trimmed(' ab ', [(0, 3), (3, 4)]).tolist() == [[1, 3], [4, 4]]
