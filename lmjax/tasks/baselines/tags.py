"""Baselines of tagging: the most frequent tag, overall and of each word."""
import collections
from collections.abc import Sequence
import dataclasses
from typing import ClassVar

from lmjax.tasks.taggers import sentences as sentences_lib


@dataclasses.dataclass(frozen=True)
class Majority:
  """Tags every word with the most frequent training tag.

  Attributes:
    tag: The most frequent tag.
  """
  tag: str
  name: ClassVar[str] = 'majority'

  @classmethod
  def fit(cls, examples: Sequence[sentences_lib.Sentence], other: str = 'O'
          ) -> 'Majority':
    """Counts the tags of training."""
    del other
    return cls(_commonest(collections.Counter(
        tag for sentence in examples for tag in sentence.tags)))

  def __call__(self, words: Sequence[str]) -> tuple[str, ...]:
    """Returns the tags of a sentence."""
    return (self.tag,) * len(words)


@dataclasses.dataclass(frozen=True)
class Memory:
  """Tags each word with its most frequent training tag.

  Attributes:
    tags: The tag of each word.
    other: The tag of unknown words.
  """
  tags: dict[str, str]
  other: str = 'O'
  name: ClassVar[str] = 'memory'

  @classmethod
  def fit(cls, examples: Sequence[sentences_lib.Sentence], other: str = 'O'
          ) -> 'Memory':
    """Counts the tags of each word of training; `other` is for unknown words.
    """
    counts = collections.defaultdict(collections.Counter)
    for sentence in examples:
      for word, tag in zip(sentence.words, sentence.tags):
        counts[word][tag] += 1
    return cls({word: _commonest(found) for word, found in counts.items()},
               other)

  def __call__(self, words: Sequence[str]) -> tuple[str, ...]:
    """Returns the tags of a sentence."""
    return tuple(self.tags.get(word, self.other) for word in words)


BASELINES = Majority, Memory


def _commonest(counts: collections.Counter) -> str:
  """Returns the most frequent tag; ties go to the alphabetically first."""
  return min(counts, key=lambda tag: (-counts[tag], tag))
