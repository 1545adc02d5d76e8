"""Models of fastText: vectors of words and of the pieces that words share.

A word's vector is the mean of the rows of the word itself, if it is known, and
of the runs of letters in it, which are numbered by a hash. In a compressed file
(.ftz) a row is a list of codes: each stands for one of 256 centres of a few
dimensions, and one more code for its length. A classifier of texts takes the
mean of all rows of a text's words, and descends a Huffman tree of labels.

References:
  Bojanowski et al., Enriching Word Vectors with Subword Information,
  arXiv:1607.04606; Joulin et al., FastText.zip, arXiv:1612.03651.
"""
from collections.abc import Mapping, Sequence
import dataclasses
import functools
import os
import struct

import numpy as np

from lmjax.core import errors
from lmjax.interop.formats import mapped

MAGIC = 793712314
_VERSIONS = 11, 12
_ARGUMENTS = struct.Struct('<12id')
_CENTRES = 256
_SUPERVISED, _HIERARCHICAL = 3, 1
_EOS = b'</s>'
_LARGEST = 1 << 62  # A count of the Huffman tree that no label has.
_LONGEST_NAME = 1 << 12
_LEAST_ENTRY = 10  # Bytes of a word: its end, its count and its type.


@dataclasses.dataclass(frozen=True)
class Quantised:
  """A matrix of codes.

  Attributes:
    codes_RC: The codes of each row.
    centres: For each code of a row, the centres that it chooses from, [256, d].
    lengths_R: The length that each row is multiplied by, or None.
  """
  codes_RC: np.ndarray
  centres: tuple[np.ndarray, ...]
  lengths_R: np.ndarray | None

  def __len__(self) -> int:
    return len(self.codes_RC)

  def __getitem__(self, rows: Sequence[int]) -> np.ndarray:
    """Returns the vectors of some rows, float32."""
    codes = self.codes_RC[rows]
    found = np.concatenate(
        [centres[codes[:, i]] for i, centres in enumerate(self.centres)], 1)
    if self.lengths_R is not None:
      found = found * self.lengths_R[rows][:, None]
    return found


@dataclasses.dataclass(frozen=True)
class FastText:
  """A model of fastText.

  Attributes:
    words: The ids of known words.
    labels: The labels that it classifies texts by, without '__label__'.
    rows: The vectors of words, and behind them those of pieces of words.
    output_LD: The vectors of labels, or of the nodes of their tree.
    counts: How often each label was seen.
    shortest, longest: The lengths of pieces in characters.
    buckets: The number of hashes of pieces.
    kept: The row of each hash, behind those of words; None if all are kept.
    has_tree: Whether the labels are the leaves of a Huffman tree.
  """
  words: Mapping[bytes, int]
  labels: tuple[str, ...]
  rows: Quantised | np.ndarray
  output_LD: np.ndarray
  counts: tuple[int, ...]
  shortest: int
  longest: int
  buckets: int
  kept: Mapping[int, int] | None
  has_tree: bool

  def vector(self, word: str) -> np.ndarray | None:
    """Returns the vector of a word; None if no part of it is known."""
    rows = self._rows_of(word.encode())
    return self.rows[rows].mean(0) if rows else None

  def probabilities(self, text: str) -> dict[str, float]:
    """Returns the probability of each label of a text of one line."""
    rows = [row for word in (*text.encode().split(), _EOS)
            for row in self._rows_of(word)]
    if not rows:
      return {}
    hidden_D = self.rows[rows].mean(0)
    scores = self.output_LD @ hidden_D
    if not self.has_tree:
      scores = np.exp(scores - scores.max())
      return dict(zip(self.labels, (scores / scores.sum()).tolist()))
    return {self.labels[leaf]: float(np.prod([
        _logistic(scores[node] if right else -scores[node])
        for node, right in path])) for leaf, path in enumerate(self._paths)}

  def _rows_of(self, word: bytes) -> list[int]:
    known = self.words.get(word)
    rows = [] if known is None else [known]
    if self.longest and word != _EOS:
      rows += self._pieces(b'<' + word + b'>')
    return rows

  def _pieces(self, word: bytes) -> list[int]:
    """Returns the rows of the runs of letters in a word."""
    starts = [at for at, byte in enumerate(word) if byte & 0xC0 != 0x80]
    starts.append(len(word))
    rows = []
    for i in range(len(starts) - 1):
      for n in range(self.shortest, self.longest + 1):
        if i + n >= len(starts):
          break
        if n == 1 and (i == 0 or i + n == len(starts) - 1):
          continue
        number = _hash(word[starts[i]:starts[i + n]]) % self.buckets
        if self.kept is None:
          rows.append(len(self.words) + number)
        elif number in self.kept:
          rows.append(len(self.words) + self.kept[number])
    return rows

  @functools.cached_property
  def _paths(self) -> list[list[tuple[int, bool]]]:
    """For each label, the nodes from the root, and whether it is right."""
    size = len(self.counts)
    counts = [*self.counts, *([_LARGEST] * (size - 1))]
    parents: dict[int, tuple[int, bool]] = {}
    leaf, node = size - 1, size
    for new in range(size, 2 * size - 1):
      children = []
      for _ in range(2):  # The two rarest that have no parent yet.
        if leaf >= 0 and counts[leaf] < counts[node]:
          children.append(leaf)
          leaf -= 1
        else:
          children.append(node)
          node += 1
      counts[new] = sum(counts[child] for child in children)
      for child, right in zip(children, (False, True)):
        parents[child] = new, right
    paths = []
    for at in range(size):
      path = []
      while at in parents:
        at, right = parents[at]
        path.append((at - size, right))
      paths.append(path)
    return paths


def is_model(path: str | os.PathLike[str]) -> bool:
  """Returns whether a file begins as fastText's .bin and .ftz files do."""
  return mapped.content(path)[:4].tobytes() == struct.pack('<i', MAGIC)


def read(path: str | os.PathLike[str]) -> FastText:
  """Reads a model of fastText, .bin or .ftz.

  Raises:
    InputError: If the file is damaged, or is no such file.
  """
  try:
    return _model(_Cursor(mapped.content(path)))
  except ValueError as error:
    raise errors.InputError(
        f'{path} is not a model of fastText that can be read: {error}.'
    ) from error


class _Cursor:
  """A place in a file; raises ValueError rather than pass its end."""

  def __init__(self, content: np.ndarray):
    self.content = content
    self.at = 0

  def array(self, dtype: str, *shape: int) -> np.ndarray:
    count = int(np.prod(shape, dtype=object))
    size = count * np.dtype(dtype).itemsize
    if min(shape, default=0) < 0 or size > self.content.size - self.at:
      raise ValueError(
          f'byte {self.at:,} should begin {size:,} bytes, but '
          f'{self.content.size - self.at:,} follow')
    self.at += size
    return mapped.array(
        self.content, self.at - size, np.dtype(dtype), shape)

  def number(self, dtype: str) -> int:
    return self.array(dtype, 1)[0].item()

  def flag(self) -> bool:
    found = self.number('u1')
    if found > 1:
      raise ValueError(f'byte {self.at - 1:,} should be 0 or 1, but is {found}')
    return bool(found)


def _model(cursor: _Cursor) -> FastText:
  """Returns the model that begins at the cursor."""
  magic, version = cursor.number('<i4'), cursor.number('<i4')
  if magic != MAGIC or version not in _VERSIONS:
    raise ValueError(
        f'it should begin with {MAGIC} and a version of '
        f'{" or ".join(map(str, _VERSIONS))}, but begins with {magic} and '
        f'{version}')
  (dim, _, _, _, _, ngrams, loss, kind, buckets, shortest, longest, _, _
   ) = _ARGUMENTS.unpack(cursor.array('u1', _ARGUMENTS.size).tobytes())
  if kind == _SUPERVISED and (ngrams > 1 or loss not in (_HIERARCHICAL, 3)):
    raise ValueError(
        'it classifies texts by runs of words, or by one label against the '
        'others, which is not read')
  if version == _VERSIONS[0] and kind == _SUPERVISED:
    longest = 0
  if longest > 0 and not 0 < shortest <= longest or longest > 0 >= buckets:
    raise ValueError('its lengths of pieces make no sense')
  words, labels, counts, kept = _dictionary(cursor)
  rows = _matrix(cursor, cursor.flag())
  output = _matrix(cursor, cursor.flag())
  least = len(words) + (
      0 if longest <= 0 else buckets if kept is None else len(kept))
  if len(rows) < least or rows[[0]].shape[1] != dim:
    raise ValueError(
        f'its vectors should be {least:,} or more of {dim} dimensions')
  if labels and (output[[0]].shape[1] != dim or len(output) < len(labels)):
    raise ValueError(f'it has {len(labels)} labels and {len(output)} outputs')
  if cursor.at != cursor.content.size:
    raise ValueError('its last matrix is not its end')
  return FastText(
      words, labels, rows, output[range(len(output))], counts, shortest,
      max(longest, 0), buckets, kept, loss == _HIERARCHICAL)


def _dictionary(cursor):
  """Returns the words, the labels, their counts, and the kept pieces."""
  size, word_count, label_count = cursor.array('<i4', 3).tolist()
  _, kept_count = cursor.array('<i8', 2).tolist()
  if (word_count < 1 or label_count < 0 or size != word_count + label_count
      or size * _LEAST_ENTRY > cursor.content.size):
    raise ValueError(f'it should have {size:,} words and labels')
  names, counts = [], []
  content = memoryview(cursor.content)
  for i in range(size):
    names.append(_name(cursor, content))
    counts.append(cursor.number('<i8'))
    if cursor.number('i1') != (i >= word_count):
      raise ValueError('its words and labels are mixed')
  if len(set(names)) != size or not all(
      0 < count < _LARGEST for count in counts[word_count:]):
    raise ValueError('its words come twice, or its labels have no counts')
  kept = None
  if kept_count >= 0:
    pairs = cursor.array('<i4', kept_count, 2).tolist()
    kept = dict(pairs)
    if sorted(kept.values()) != list(range(kept_count)):
      raise ValueError('its pieces have rows that come twice')
  labels = tuple(name.decode('utf-8').removeprefix('__label__')
                 for name in names[word_count:])
  return ({name: i for i, name in enumerate(names[:word_count])}, labels,
          tuple(counts[word_count:]), kept)


def _name(cursor, content):
  """Returns the bytes up to the next zero."""
  found = bytes(content[cursor.at:cursor.at + _LONGEST_NAME])
  name, zero, _ = found.partition(b'\0')
  if not zero:
    raise ValueError(f'byte {cursor.at:,} begins no word')
  cursor.at += len(name) + 1
  return name


def _matrix(cursor: _Cursor, quantised: bool) -> Quantised | np.ndarray:
  """Returns the matrix that begins at the cursor."""
  if not quantised:
    rows, width = cursor.array('<i8', 2).tolist()
    if rows < 1 or width < 1:
      raise ValueError(f'a matrix has the shape {rows} x {width}')
    return cursor.array('<f4', rows, width)
  has_lengths = cursor.flag()
  rows, width = cursor.array('<i8', 2).tolist()
  size = cursor.number('<i4')
  if rows < 1 or size < rows or size % rows:
    raise ValueError(f'{rows:,} rows cannot have {size:,} codes')
  codes = cursor.array('u1', rows, size // rows)
  centres = _centres(cursor)
  if len(centres) != size // rows or sum(
      each.shape[1] for each in centres) != width:
    raise ValueError(f'its codes do not stand for {width} dimensions')
  lengths = None
  if has_lengths:
    of_length = cursor.array('u1', rows)
    table, = _centres(cursor)
    if table.shape[1] != 1:
      raise ValueError('its lengths have several dimensions')
    lengths = table[of_length, 0]
  return Quantised(codes, centres, lengths)


def _centres(cursor: _Cursor) -> tuple[np.ndarray, ...]:
  """Returns the centres of every code."""
  width, parts, each, last = cursor.array('<i4', 4).tolist()
  if min(width, parts, each, last) < 1 or each * (parts - 1) + last != width:
    raise ValueError(f'{parts} codes do not divide {width} dimensions')
  sizes = [each] * (parts - 1) + [last]
  return tuple(cursor.array('<f4', _CENTRES, size) for size in sizes)


def _hash(piece: bytes) -> int:
  """Returns the FNV-1a hash of 32 bits, over signed bytes."""
  found = 2166136261
  for byte in piece:
    found = (found ^ (byte | (0xFFFFFF00 if byte > 127 else 0))) * 16777619
    found &= 0xFFFFFFFF
  return found


def _logistic(x: float) -> float:
  return 1 / (1 + np.exp(-x))
