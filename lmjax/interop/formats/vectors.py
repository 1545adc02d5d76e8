"""Vectors of words: GloVe's and word2vec's files, fastText's, and numpy's.

A text file has a word and its numbers on each line; word2vec's and fastText's
begin with a line of the number of words and their size, and GloVe's does not. A
binary file of word2vec has such a line too, and then each word, a space, and
its numbers as float32.
"""
import array
from collections.abc import Callable, Iterator, Sequence
import dataclasses
import os
import pathlib

import numpy as np

from lmjax.core import errors
from lmjax.core.files import safe_paths
from lmjax.interop.formats import fasttext_files
from lmjax.interop.formats import mapped

_LONGEST_LINE = 1 << 20
_LONGEST_WORD = 1 << 12
_LARGEST = 1 << 16  # Dimensions.


@dataclasses.dataclass(frozen=True)
class Vectors:
  """The vectors of a file.

  Attributes:
    words: The words that have one of their own; a word that came twice has the
      first of its vectors.
    size: Their dimensions D.
    vector: Function from a word to its vector, `x_D`, or None. A model of
      fastText has vectors of other words too.
  """
  words: Sequence[str]
  size: int
  vector: Callable[[str], np.ndarray | None] = dataclasses.field(repr=False)

  @classmethod
  def of(cls, words: Sequence[str], vectors_VD: np.ndarray) -> 'Vectors':
    """Returns the vectors of a table."""
    rows = {}
    for row, word in enumerate(words):
      rows.setdefault(word, row)
    return cls(list(rows), vectors_VD.shape[1], lambda word: (
        vectors_VD[rows[word]] if word in rows else None))

  def table(self) -> np.ndarray:
    """Returns the vectors of `words`, `vectors_VD`."""
    return np.stack([self.vector(word) for word in self.words])


def read(path: str | os.PathLike[str]) -> Vectors:
  """Reads vectors of words in any format that is known; see above.

  Args:
    path: A file of GloVe, word2vec or fastText, or a folder with the vectors in
      a file of numpy, `.npy`, and the words in the only column of a `.parquet`
      file.

  Raises:
    InputError: If it is damaged, or in another format.
  """
  path = pathlib.Path(path)
  try:
    if path.is_dir():
      return _folder(path)
    if fasttext_files.is_model(path):
      return _fasttext(path)
    content = mapped.content(path)
    header = _header(content)
    if header is None:
      return _text(content, 0, None)
    count, size, start = header
    if _is_text(content[start:start + _LONGEST_LINE].tobytes(), size):
      return _text(content, start, (count, size))
    return _binary(content, start, count, size)
  except ValueError as error:
    if isinstance(error, errors.InputError):
      raise
    raise errors.InputError(
        f'{path} does not have vectors of words that can be read: {error}.'
    ) from error


def _fasttext(path: pathlib.Path) -> Vectors:
  model = fasttext_files.read(path)
  words = [word.decode('utf-8', 'replace') for word in model.words]
  return Vectors(words, model.rows[[0]].shape[1], model.vector)


def _folder(path: pathlib.Path) -> Vectors:
  """Reads vectors in numpy's format, with their words in Parquet."""
  found = [[each.name for each in path.iterdir() if each.suffix == suffix]
           for suffix in ('.npy', '.parquet')]
  if [len(names) for names in found] != [1, 1]:
    raise ValueError(
        'the folder should have one .npy and one .parquet file, but has '
        f'{len(found[0])} and {len(found[1])}')
  numbers, index = (safe_paths.safe_join(path, names[0]) for names in found)
  from pyarrow import parquet
  try:
    words = parquet.read_table(index)
    vectors_VD = np.load(numbers, mmap_mode='r', allow_pickle=False)
  except (OSError, EOFError) as error:
    raise ValueError(str(error)) from error
  if words.num_columns != 1 or vectors_VD.ndim != 2 or (
      vectors_VD.dtype.kind != 'f' or len(vectors_VD) != words.num_rows):
    raise ValueError(
        f'its {words.num_columns} columns of {words.num_rows:,} words do not '
        f'name {vectors_VD.dtype} vectors of the shape {vectors_VD.shape}')
  return Vectors.of(words.column(0).to_pylist(), vectors_VD)


def _header(content: np.ndarray) -> tuple[int, int, int] | None:
  """Returns the number and size of the vectors, and where they begin."""
  line, end, _ = content[:64].tobytes().partition(b'\n')
  fields = line.split()
  if not end or len(fields) != 2 or not all(
      field.isdigit() for field in fields):
    return None
  count, size = map(int, fields)
  if not 0 < size <= _LARGEST or not 0 < count * size * 2 <= content.size:
    raise ValueError(
        f'it should have {count:,} words of {size:,} dimensions, which its '
        f'{content.size:,} bytes cannot hold')
  return count, size, len(line) + 1


def _is_text(content: bytes, size: int) -> bool:
  """Returns whether the first line is a word and its numbers."""
  try:
    return len(_numbers(content.partition(b'\n')[0], size)) == size
  except ValueError:
    return False


def _numbers(line: bytes, size: int) -> list[float]:
  return [float(field) for field in line.split()[-size:]]


def _lines(content: np.ndarray, start: int) -> Iterator[bytes]:
  """Yields the lines that are not empty."""
  view = memoryview(content)
  rest = b''
  for at in range(start, len(view), _LONGEST_LINE):
    *whole, rest = (rest + bytes(view[at:at + _LONGEST_LINE])).split(b'\n')
    if len(rest) > _LONGEST_LINE:
      raise ValueError(f'a line has more than {_LONGEST_LINE:,} bytes')
    yield from filter(None, whole)
  if rest:
    yield rest


def _text(content: np.ndarray, start: int, header: tuple[int, int] | None
          ) -> Vectors:
  """Reads lines of a word and its numbers; a word may have spaces."""
  words, rows = [], array.array('f')
  size = header and header[1]
  for number, line in enumerate(_lines(content, start), 1):
    line = line.rstrip()
    size = size or len(line.split()) - 1
    word, *numbers = line.rsplit(b' ', size) if size > 0 else (b'',)
    if not word or len(numbers) != size:
      raise ValueError(
          f'line {number} of vectors should have a word and {size} numbers')
    words.append(_decoded(word))
    rows.frombytes(_row(numbers, number).tobytes())
  if header and len(words) != header[0]:
    raise ValueError(
        f'its first line says {header[0]:,} words, but it has {len(words):,}')
  if not words:
    raise ValueError('it has no words')
  return Vectors.of(words, np.frombuffer(rows, np.float32).reshape(-1, size))


def _row(numbers: list[bytes], line: int) -> np.ndarray:
  try:
    row = np.array(numbers).astype(np.float32)
  except ValueError as error:
    raise ValueError(
        f'line {line} of vectors has what is no number') from error
  return _finite(row, f'line {line} of vectors')


def _finite(row: np.ndarray, what: str) -> np.ndarray:
  if not np.isfinite(row).all():
    raise ValueError(f'{what} has numbers that are not finite')
  return row


def _decoded(word: bytes) -> str:
  try:
    return word.decode('utf-8')
  except UnicodeDecodeError as error:
    raise ValueError(f'the word {word[:40]!r} is not UTF-8') from error


def _binary(content: np.ndarray, start: int, count: int, size: int) -> Vectors:
  """Reads words, each with a space behind it and its numbers as float32."""
  view = memoryview(content)
  vectors_VD = np.empty((count, size), np.float32)
  words, at = [], start
  for row in range(count):
    word, space, _ = bytes(view[at:at + _LONGEST_WORD]).partition(b' ')
    at += len(word) + 1
    numbers = view[at:at + 4 * size]
    if not space or len(numbers) != 4 * size:
      raise ValueError(
          f'word {row + 1:,} of {count:,} should have {size} numbers, but the '
          'file ends')
    words.append(_decoded(word.lstrip(b'\n')))
    vectors_VD[row] = _finite(np.frombuffer(numbers, '<f4'), f'word {row + 1}')
    at += 4 * size
  if len(view) - at > 1:  # There may be a last line's end.
    raise ValueError(f'{len(view) - at:,} bytes follow the last word')
  return Vectors.of(words, vectors_VD)
