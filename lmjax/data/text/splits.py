"""Splits of a source into documents to train on and held-out documents."""
import collections
from collections.abc import Iterator
import dataclasses
import hashlib
from typing import Any

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.data import documents
from lmjax.data import facts
from lmjax.data import text as text_lib

NAMES = ('train', 'valid', 'test')
_NEAR = 1000  # Most characters by which a cut moves to a line break.


@dataclasses.dataclass(frozen=True)
@ranges.checked
class HashSplit:
  """Holds out documents by a hash of their text.

  The split of a document depends only on its text: not on its neighbours, the
  order of files, or a seed. Copies of a text get the same split, so a text is
  never both trained on and tested.

  If the documents are so few that a split would get none, such as one file of
  text, `EndSplit` divides each of them instead.

  Attributes:
    valid: The expected fraction of documents for validation.
    test: The expected fraction of documents for the final test.
  """
  valid: ranges.Rate = 0.05
  test: ranges.Rate = 0.05

  def __post_init__(self):
    _check_fractions(self)

  def select(
      self, source: text_lib.Config, name: str) -> documents.Source | None:
    """Returns the part of a source called 'train', 'valid' or 'test'."""
    if _fraction(self, name) == 0:
      return None
    if few := self._too_few(source):
      share, one = self.valid + self.test, few == 1
      return _Ended(
          source, EndSplit(self.valid, self.test), name,
          f'{few:,} document{"s" * (not one)} cannot be split by document, so '
          f'the last {share:.0%} of {"it" if one else "each"} is held out.')
    return _Hashed(source, self, name)

  def _too_few(self, source: text_lib.Config) -> int | None:
    """Returns the number of documents if a split would get none of them."""
    count, without = 0, {n for n in NAMES if _fraction(self, n) > 0}
    for count, text in enumerate(source.documents(), 1):
      without.discard(self.name_of(text))
      if not without:
        return None
    return count

  def name_of(self, text: str) -> str:
    """Returns the name of a document's split."""
    sha = hashlib.sha256()
    for piece in facts.pieces(text):
      sha.update(documents.utf8(piece))
    place = int.from_bytes(sha.digest()[:8], 'big') / 2**64
    if place < self.test:
      return 'test'
    return 'valid' if place < self.test + self.valid else 'train'


@dataclasses.dataclass(frozen=True)
@ranges.checked
class EndSplit:
  """Holds out the end of each document; made for a few long documents.

  Of n characters about n * (1 - valid - test) are trained on. A cut is moved
  back to the nearest line break or else whitespace, by at most 1% of the
  document and 1,000 characters.

  Attributes:
    valid: The fraction of a document for validation.
    test: The fraction of a document, at its end, for the final test.
  """
  valid: ranges.Rate = 0.1
  test: ranges.Rate = 0.0

  def __post_init__(self):
    _check_fractions(self)

  def select(
      self, source: text_lib.Config, name: str) -> documents.Source | None:
    """Returns the part of a source called 'train', 'valid' or 'test'."""
    if _fraction(self, name) == 0:
      return None
    return _Ended(source, self, name)

  def part_of(self, text: str, name: str) -> str:
    """Returns the part of a document.

    Example:
      >>> text = 30 * 'all the words\\n'
      >>> EndSplit(valid=0.1).part_of(text, 'valid')
      'all the words\\nall the words\\nall the words\\n'
    """
    start, stop = _bounds(self, len(text), name)
    return text[_before(text, start):_before(text, stop)]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class PositionSplit:
  """Holds out the end of the text, by characters; made for one long text.

  Of n characters the first int(n * (1 - valid - test)) are trained on, so
  valid=0.1 is the common split of Tiny Shakespeare. A document at a cut is
  divided.

  Attributes:
    valid: The fraction of characters for validation.
    test: The fraction of characters, at the end, for the final test.
  """
  valid: ranges.Rate = 0.1
  test: ranges.Rate = 0.0

  def __post_init__(self):
    _check_fractions(self)

  def select(
      self, source: text_lib.Config, name: str) -> documents.Source | None:
    """Returns the part of a source called 'train', 'valid' or 'test'."""
    if _fraction(self, name) == 0:
      return None
    return _Positioned(source, self, name)


@dataclasses.dataclass(frozen=True)
class Separate:
  """Takes held-out text from sources of its own, as data sets provide them.

  Attributes:
    valid_source: Source of the validation text.
    test_source: Source of the text of the final test.
  """
  valid_source: text_lib.Config
  test_source: text_lib.Config | None = None

  def select(
      self, source: text_lib.Config, name: str) -> documents.Source | None:
    """Returns the source called 'train', 'valid' or 'test'."""
    return {'train': source, 'valid': self.valid_source,
            'test': self.test_source}[name]


Config = HashSplit | EndSplit | PositionSplit | Separate
_Fractions = HashSplit | EndSplit | PositionSplit


@dataclasses.dataclass(frozen=True)
class _Part(documents.Source):
  """One split of a source."""
  source: documents.Source
  split: _Fractions
  name: str
  note: str | None = None

  def fingerprint(self) -> dict[str, Any]:
    found = {'source': self.source.fingerprint(), 'split': repr(self.split),
             'name': self.name}
    return found if self.note is None else found | {'note': self.note}

  def contents(self) -> dict[str, str]:
    return self.source.contents()

  def notes(self) -> tuple[str, ...]:
    return self.source.notes() + ((self.note,) if self.note else ())

  def describe(self) -> str:
    return f'The {self.name} split ({self.split}) of {self.source.describe()}'


class _Hashed(_Part):

  def _read(self, counts: collections.Counter) -> Iterator[str]:
    whole = collections.Counter()
    for text in self.source.documents(whole):
      if self.split.name_of(text) == self.name:
        yield text
      else:
        counts['documents of other splits'] += 1
    del whole['documents']  # `documents` counts the ones of this split.
    counts.update(whole)


class _Ended(_Part):

  def _read(self, counts: collections.Counter) -> Iterator[str]:
    del counts
    is_empty = True
    for text in self.source.documents():
      part = self.split.part_of(text, self.name)
      is_empty &= not part or part.isspace()
      yield part
    if is_empty:
      raise errors.InputError(
          f'{self.source.describe()} is too short: its {self.name} part, by '
          f'{self.split}, has no text. Give more text, or other shares of it, '
          'such as --config.data.split.valid=0.2.')


class _Positioned(_Part):

  def _read(self, counts: collections.Counter) -> Iterator[str]:
    total = sum(len(text) for text in self.source.documents())
    start, stop = _bounds(self.split, total, self.name)
    place = 0
    for text in self.source.documents():
      piece = text[max(0, start - place):max(0, stop - place)]
      place += len(text)
      if piece:
        yield piece
      else:
        counts['documents of other splits'] += 1


def _bounds(split: _Fractions, length: int, name: str) -> tuple[int, int]:
  """Returns the first character of a split and the first after it."""
  first = int(length * (1 - split.valid - split.test))
  second = int(length * (1 - split.test))
  return {'train': (0, first), 'valid': (first, second),
          'test': (second, length)}[name]


def _before(text: str, place: int) -> int:
  """Returns the place after the last line end or whitespace before `place`."""
  if place == len(text):
    return place
  low = max(0, place - min(_NEAR, len(text) // 100))
  end = text.rfind('\n', low, place) + 1
  if not end:
    end = next((i for i in range(place, low, -1) if text[i - 1].isspace()), 0)
  return end or place


def _check_fractions(split: _Fractions) -> None:
  kind = type(split).__name__
  if split.valid + split.test >= 1:
    raise errors.InputError(
        f'{kind}(valid={split.valid}, test={split.test}): the fractions should '
        'leave some text for training.')


def _fraction(split: _Fractions, name: str) -> float:
  if name not in NAMES:
    raise errors.InputError(f'Split {name!r} should be one of {NAMES}.')
  return 1.0 if name == 'train' else getattr(split, name)
