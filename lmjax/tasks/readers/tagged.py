"""The three splits of a task on tagged words."""
import collections
from collections.abc import Iterable, Sequence
import dataclasses

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.evaluation.downstream import entities
from lmjax.tasks.readers import conll
from lmjax.tasks.readers import division
from lmjax.tasks.readers import json_words
from lmjax.tasks.readers import labels as labels_lib
from lmjax.tasks.readers import spaced
from lmjax.tasks import sentences
from lmjax.tasks import task as task_lib

Reader = conll.Conll | json_words.JsonWords | spaced.Spaced


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Tagged:
  """The three splits of a task on tagged words, each from its own reader.

  Tags may be in IOB1, BIO, IOBES or BILOU; they are converted to BIO.

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

  def read(self) -> task_lib.Splits:
    """Returns the splits, with O and the tags of training as labels.

    A note lists tags that are not in training; they count as missed.

    Raises:
      InputError: If a file or split is empty or malformed, or training has no
        entity.
    """
    given, notes = division.collect(_sentences, self)
    rewritten = sum(
        mine != theirs for found in given.values() for sentence in found or ()
        for mine, theirs in zip(sentence.tags, sentence.in_bio().tags))
    divided = division.divide(
        {name: found and [sentence.in_bio() for sentence in found]
         for name, found in given.items()},
        held_out=self.held_out, drop_shared=self.drop_shared, notes=notes)
    labels = label_names((*divided.train, *divided.dropped))
    notes = [_told((*divided.train, *divided.dropped)), *divided.notes]
    if rewritten:
      notes.append(f'{rewritten:,} tags were not in BIO and were rewritten.')
    for name in ('valid', 'test'):
      notes += unseen(name, getattr(divided, name), labels)
    return task_lib.Splits(
        divided.train, divided.valid, divided.test, labels, tuple(notes))


def label_names(examples: Iterable[sentences.Sentence]) -> tuple[str, ...]:
  """Returns the tags of sentences: O, followed by B and I of each type.

  Raises:
    InputError: If there is no entity.
  """
  found = {tag for sentence in examples for tag in sentence.tags} - {'O'}
  if not found:
    raise errors.InputError(
        'The training sentences have no entity: every tag is O.')
  return ('O', *sorted(found, key=lambda tag: entities.split(tag)[::-1]))


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


def _told(examples: Iterable[sentences.Sentence]) -> str:
  """Returns a sentence with the number of entities of each type."""
  return labels_lib.told(
      (entity.type or 'entity' for sentence in examples
       for entity in entities.read(sentence.tags)), 'entities')


def _sentences(name: str, reader: Reader, counts: collections.Counter
               ) -> list[sentences.Sentence]:
  """Returns the sentences of a split."""
  found = list(reader.examples(counts))
  if not found:
    raise errors.InputError(f'The {name} split, {reader}, has no sentence.')
  return found
