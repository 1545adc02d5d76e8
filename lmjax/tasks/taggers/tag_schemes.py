"""What the tags of words mean: parts of entities, or names of their own."""
import collections
from collections.abc import Iterable, Sequence
import dataclasses
from typing import Any, Literal, Protocol

from lmjax.core import errors
from lmjax.evaluation.downstream.tags import entities
from lmjax.evaluation.downstream.tags import tagging
from lmjax.evaluation.downstream.tags import word_classes
from lmjax.nn import crf
from lmjax.tasks.readers.texts import labels as labels_lib
from lmjax.tasks.taggers import sentences as sentences_lib

Sentences = Iterable[sentences_lib.Sentence]
OnBadTags = Literal['repair', 'fail']


class Scheme(Protocol):
  """What tags mean, how they are checked, and how they are scored."""

  def checked(self, sentence: sentences_lib.Sentence
              ) -> sentences_lib.Sentence:
    """Returns a sentence with the tags that are learned: BIO for entities.

    Raises:
      InputError: If a tag is none of the scheme's.
    """

  def settle(self, split: str, sentences: Sequence[sentences_lib.Sentence],
             on_bad: OnBadTags) -> tuple[list[sentences_lib.Sentence],
                                         list[str]]:
    """Returns the sentences of a split as `checked` does, and notes on them.

    Raises:
      InputError: If a tag is none of the scheme's, or, under 'fail', does not
        fit the tags around it.
    """

  def names(self, sentences: Sentences) -> tuple[str, ...]:
    """Returns the tags of sentences; words that are not seen have the first.
    """

  def told(self, sentences: Sentences) -> str:
    """Returns a sentence with what the tags mark, and how often."""

  def allowed(self, labels: Sequence[str]) -> crf.Allowed | None:
    """Returns which tags may follow each other; None allows everything."""

  def judge(self, true: Sequence[Sequence[str]],
            predicted: Sequence[Sequence[str]], names: Sequence[str],
            nll: Sequence[float] | None = None,
            scored: Sequence[int] | None = None,
            texts: Sequence[Sequence[str]] | None = None) -> Any:
    """Returns the result of predicted tags; see `tagging.Tagging.of`."""

  def answer(self, words: Sequence[str], tags: Sequence[str]
             ) -> dict[str, Any]:
    """Returns what predicted tags say in addition, as JSON types."""


@dataclasses.dataclass(frozen=True)
class Entities:
  """Tags mark entities in IOB1, BIO, IOBES or BILOU, and become BIO."""

  def checked(self, sentence: sentences_lib.Sentence
              ) -> sentences_lib.Sentence:
    """See `Scheme`."""
    for place, tag in enumerate(sentence.tags, 1):
      entities.check(tag, f'{sentence.where}, word {place}')
    return sentence._replace(tags=entities.bio(
        entities.read(sentence.tags), len(sentence.tags)))

  def settle(self, split: str, sentences: Sequence[sentences_lib.Sentence],
             on_bad: OnBadTags) -> tuple[list[sentences_lib.Sentence],
                                         list[str]]:
    """See `Scheme`."""
    found = [self.checked(sentence) for sentence in sentences]
    name = entities.scheme(sentence.tags for sentence in sentences)
    notes, bad = [], []
    if name != 'BIO':
      notes.append(f'The tags of the {split} split are in {name}, and were '
                   'rewritten in BIO.')
    for sentence in sentences:
      valid = entities.spelled(
          entities.read(sentence.tags), len(sentence.tags), name)
      bad += [(sentence, place) for place, (mine, theirs) in enumerate(
          zip(sentence.tags, valid)) if mine != theirs]
    if not bad:
      return found, notes
    sentence, place = bad[0]
    before = sentence.tags[place - 1] if place else 'the start'
    first = (f'{sentence.where}, word {place + 1}: {sentence.tags[place]} '
             f'after {before}')
    if on_bad == 'fail':
      raise errors.InputError(
          f'{first} is not valid {name}; {len(bad):,} tags of the {split} '
          'split are not. Correct them, or set '
          '--config.task.source.on_bad_tags=repair.')
    return found, [*notes, (
        f'{len(bad):,} tags of the {split} split are not valid {name} and were '
        f'repaired as conlleval reads them; the first is {first}.')]

  def names(self, sentences: Sentences) -> tuple[str, ...]:
    """Returns O, followed by B and I of each type.

    Raises:
      InputError: If there is no entity.
    """
    found = {tag for sentence in sentences for tag in sentence.tags} - {'O'}
    if not found:
      raise errors.InputError(
          'The training sentences have no entity: every tag is O.')
    return ('O', *sorted(found, key=lambda tag: entities.split(tag)[::-1]))

  def told(self, sentences: Sentences) -> str:
    """Returns a sentence with the number of entities of each type."""
    return labels_lib.told(
        (entity.type or 'entity' for sentence in sentences
         for entity in entities.read(sentence.tags)), 'entities')

  def allowed(self, labels: Sequence[str]) -> crf.Allowed:
    """See `Scheme`."""
    return entities.allowed(labels)

  def judge(self, true: Sequence[Sequence[str]],
            predicted: Sequence[Sequence[str]], names: Sequence[str],
            nll: Sequence[float] | None = None,
            scored: Sequence[int] | None = None,
            texts: Sequence[Sequence[str]] | None = None) -> tagging.Tagging:
    """Returns scores of entities and words."""
    return tagging.Tagging.of(true, predicted, names, nll, scored, texts)

  def answer(self, words: Sequence[str], tags: Sequence[str]
             ) -> dict[str, Any]:
    """Returns the entities."""
    return {'entities': [
        entity._asdict() | {'text': ' '.join(words[entity.start:entity.end])}
        for entity in entities.read(tags)]}


@dataclasses.dataclass(frozen=True)
class Names:
  """Each tag is a name of its own, such as a part of speech."""

  def checked(self, sentence: sentences_lib.Sentence
              ) -> sentences_lib.Sentence:
    """Returns the sentence; every tag is right."""
    return sentence

  def settle(self, split: str, sentences: Sequence[sentences_lib.Sentence],
             on_bad: OnBadTags) -> tuple[list[sentences_lib.Sentence],
                                         list[str]]:
    """Returns the sentences; no tag depends on others."""
    del split, on_bad
    return list(sentences), []

  def names(self, sentences: Sentences) -> tuple[str, ...]:
    """Returns the most frequent tag, followed by the others by name."""
    counts = collections.Counter(
        tag for sentence in sentences for tag in sentence.tags)
    first = min(counts, key=lambda tag: (-counts[tag], tag))
    return (first, *sorted(counts.keys() - {first}))

  def told(self, sentences: Sentences) -> str:
    """Returns a sentence with the number of words of each tag."""
    return labels_lib.told((tag for sentence in sentences
                            for tag in sentence.tags), 'tags')

  def allowed(self, labels: Sequence[str]) -> None:
    """Returns None: all tags may follow each other."""
    del labels

  def judge(self, true: Sequence[Sequence[str]],
            predicted: Sequence[Sequence[str]], names: Sequence[str],
            nll: Sequence[float] | None = None,
            scored: Sequence[int] | None = None,
            texts: Sequence[Sequence[str]] | None = None
            ) -> word_classes.WordClasses:
    """Returns scores of words."""
    return word_classes.WordClasses.of(
        true, predicted, names, nll, scored, texts)

  def answer(self, words: Sequence[str], tags: Sequence[str]
             ) -> dict[str, Any]:
    """Returns nothing more."""
    del words, tags
    return {}


SCHEMES = {'entities': Entities(), 'names': Names()}
