"""Splits of a source into documents to train on and held-out documents."""
import collections
from collections.abc import Iterator
import dataclasses
import hashlib
from typing import Any

from lmjax.core import errors
from lmjax.data import documents
from lmjax.data import text as text_lib

NAMES = ('train', 'valid', 'test')


@dataclasses.dataclass(frozen=True)
class HashSplit:
  """Holds out documents by a hash of their text.

  The split of a document depends only on its text: not on its neighbours, the
  order of files, or a seed. Copies of a text get the same split, so a text is
  never both trained on and tested.

  Attributes:
    valid: The expected fraction of documents for validation.
    test: The expected fraction of documents for the final test.
  """
  valid: float = 0.05
  test: float = 0.05

  def __post_init__(self):
    _check_fractions(self)

  def select(
      self, source: text_lib.Config, name: str) -> documents.Source | None:
    """Returns the part of a source called 'train', 'valid' or 'test'."""
    if _fraction(self, name) == 0:
      return None
    return _Hashed(source, self, name)

  def name_of(self, text: str) -> str:
    """Returns the name of a document's split."""
    raw = hashlib.sha256(documents.utf8(text)).digest()
    place = int.from_bytes(raw[:8], 'big') / 2**64
    if place < self.test:
      return 'test'
    return 'valid' if place < self.test + self.valid else 'train'


@dataclasses.dataclass(frozen=True)
class PositionSplit:
  """Holds out the end of the text, by characters; made for one long text.

  Of n characters the first int(n * (1 - valid - test)) are trained on, so
  valid=0.1 is the common split of Tiny Shakespeare. A document at a cut is
  divided.

  Attributes:
    valid: The fraction of characters for validation.
    test: The fraction of characters, at the end, for the final test.
  """
  valid: float = 0.1
  test: float = 0.0

  def __post_init__(self):
    _check_fractions(self)

  def select(
      self, source: text_lib.Config, name: str) -> documents.Source | None:
    """Returns the part of a source called 'train', 'valid' or 'test'."""
    if _fraction(self, name) == 0:
      return None
    return _Positioned(source, self, name)

  def bounds(self, characters: int, name: str) -> tuple[int, int]:
    """Returns the first character of a split and the first after it."""
    first = int(characters * (1 - self.valid - self.test))
    second = int(characters * (1 - self.test))
    return {'train': (0, first), 'valid': (first, second),
            'test': (second, characters)}[name]


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


Config = HashSplit | PositionSplit | Separate


@dataclasses.dataclass(frozen=True)
class _Part(documents.Source):
  """One split of a source."""
  source: documents.Source
  split: HashSplit | PositionSplit
  name: str

  def fingerprint(self) -> dict[str, Any]:
    return {'source': self.source.fingerprint(), 'split': repr(self.split),
            'name': self.name}

  def contents(self) -> dict[str, str]:
    return self.source.contents()

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


class _Positioned(_Part):

  def _read(self, counts: collections.Counter) -> Iterator[str]:
    total = sum(len(text) for text in self.source.documents())
    start, stop = self.split.bounds(total, self.name)
    place = 0
    for text in self.source.documents():
      piece = text[max(0, start - place):max(0, stop - place)]
      place += len(text)
      if piece:
        yield piece
      else:
        counts['documents of other splits'] += 1


def _check_fractions(split: HashSplit | PositionSplit) -> None:
  kind = type(split).__name__
  if not (split.valid >= 0 and split.test >= 0
          and split.valid + split.test < 1):
    raise errors.InputError(
        f'{kind}(valid={split.valid}, test={split.test}): fractions should be '
        'at least 0 and leave some text for training.')


def _fraction(split: HashSplit | PositionSplit, name: str) -> float:
  if name not in NAMES:
    raise errors.InputError(f'Split {name!r} should be one of {NAMES}.')
  return 1.0 if name == 'train' else getattr(split, name)
