"""The three splits of a task on tagged words."""
import collections
from collections.abc import Mapping, Sequence
import dataclasses
import typing
from typing import Any, Literal

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.tasks.readers import division
from lmjax.tasks.readers.words import conll
from lmjax.tasks.readers.words import json_words
from lmjax.tasks.readers.words import spaced
from lmjax.tasks.readers.words import tfds_words
from lmjax.tasks.taggers import sentences
from lmjax.tasks.taggers import tag_schemes
from lmjax.tasks import task as task_lib

Reader = (conll.Conll | json_words.JsonWords | spaced.Spaced
          | tfds_words.TfdsWords)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Tagged:
  """The three splits of a task on tagged words, each from its own reader.

  Attributes:
    train: The training sentences.
    test: The test sentences; None holds out some of `train`.
    valid: The sentences for early stopping; None holds out some of `train`.
    held_out: The expected fraction of `train` that is held out for each split
      that is None. A hash of the words determines the split of a sentence, so
      copies stay together.
    drop_shared: Whether training sentences that are also in another split are
      dropped. A note has their number in both cases.
  """
  train: Reader
  test: Reader | None = None
  valid: Reader | None = None
  held_out: ranges.Rate = 0.1
  drop_shared: bool = True
  tags: Literal['entities', 'names'] = 'entities'
  on_bad_tags: tag_schemes.OnBadTags = 'repair'

  def __post_init__(self):
    check(self.tags, self.on_bad_tags)

  @property
  def scheme(self) -> tag_schemes.Scheme:
    """What the tags mean."""
    return tag_schemes.SCHEMES[self.tags]

  def read(self) -> task_lib.Splits:
    """Returns the splits, with the tags of training as labels.

    A note lists tags that are not in training; they count as missed.

    Raises:
      InputError: If a file or split is empty or malformed, a tag is none of the
        scheme's, or training has no entity.
    """
    given, notes = division.collect(_sentences, self)
    given, more = settled(given, self.scheme, self.on_bad_tags)
    divided = division.divide(
        given, held_out=self.held_out, drop_shared=self.drop_shared,
        notes=notes)
    labels, (told, *unseen) = named(divided, self.scheme)
    return task_lib.Splits(
        divided.train, divided.valid, divided.test, labels,
        (told, *divided.notes, *more, *unseen))


def check(tags: str, on_bad_tags: str) -> None:
  """Raises InputError for values that `Tagged` does not have."""
  for field, value, choices in (
      ('tags', tags, tag_schemes.SCHEMES),
      ('on_bad_tags', on_bad_tags, typing.get_args(tag_schemes.OnBadTags))):
    if value not in choices:
      raise errors.InputError(
          f'source.{field} should be one of {sorted(choices)}; got {value!r}.')


def settled(given: Mapping[str, Sequence[Any] | None],
            scheme: tag_schemes.Scheme, on_bad: tag_schemes.OnBadTags
            ) -> tuple[dict[str, Sequence[Any] | None], list[str]]:
  """Returns the sentences by split with the tags that are learned, and notes.
  """
  found, notes = {}, []
  for name, some in given.items():
    found[name], more = (None, []) if some is None else scheme.settle(
        name, some, on_bad)
    notes += more
  return found, notes


def named(divided: division.Divided, scheme: tag_schemes.Scheme
          ) -> tuple[tuple[str, ...], list[str]]:
  """Returns the tags of training, and notes on them and on tags of others."""
  train = (*divided.train, *divided.dropped)
  labels = scheme.names(train)
  notes = [scheme.told(train)]
  for name in ('valid', 'test'):
    notes += unseen(name, getattr(divided, name), labels)
  return labels, notes


def unseen(split: str, examples: Sequence[sentences.Sentence],
           labels: Sequence[str]) -> list[str]:
  """Returns a note if a split has tags that are not in `labels`."""
  counts = collections.Counter(
      tag for sentence in examples for tag in sentence.tags
      if tag not in labels)
  if not counts:
    return []
  return [f'The {split} split has tags that are not in training, which count '
          'as missed: '
          + ', '.join(f'{tag} ({n})' for tag, n in sorted(counts.items()))
          + '.']


def _sentences(name: str, reader: Reader, counts: collections.Counter
               ) -> list[sentences.Sentence]:
  """Returns the sentences of a split."""
  found = list(reader.examples(counts))
  if not found:
    raise errors.InputError(f'The {name} split, {reader}, has no sentence.')
  return found
