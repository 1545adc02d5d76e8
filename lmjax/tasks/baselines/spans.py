"""Baselines of question answering: no answer, and words that both texts have.
"""
import collections
from collections.abc import Iterator, Sequence
import dataclasses
import math
import re
from typing import ClassVar, NamedTuple

from lmjax.data import scripts
from lmjax.tasks.answering import passages

_PARTS = re.compile(r'\w+')
_SENTENCES = re.compile(r'[^.!?。！？\n]+[.!?。！？\n]*')
_LONGEST = 5  # Words of an answer.


class Word(NamedTuple):
  """A word in lower case, and its characters in a text."""
  text: str
  start: int
  end: int


@dataclasses.dataclass(frozen=True)
class NoAnswer:
  """Says of every question that it has no answer."""
  name: ClassVar[str] = 'no answer'

  @classmethod
  def fit(cls, examples: Sequence[passages.Question]) -> 'NoAnswer':
    """Needs no examples."""
    del examples
    return cls()

  def __call__(self, example: passages.Question) -> tuple[str, float]:
    """Returns (best answer, how much no answer is preferred to it)."""
    del example
    return '', math.inf


@dataclasses.dataclass(frozen=True)
class Overlap:
  """Answers from the sentence that has most of the question's words.

  A word counts as much as it is rare: log(N / n) if n of the N texts of
  training have it. The sentence is that with the highest sum over the words of
  the question that it has. The answer is the run of at most 5 of its other
  words with the highest sum, divided by the number of words or by 2 if that is
  1. No answer is preferred by the share of the question's sum that the sentence
  lacks.

  Attributes:
    weights: The weight of each word of training.
    most: The weight of other words.

  References:
    Richardson, Burges and Renshaw, MCTest, 2013, section 4.1 (a baseline of
    sliding windows, which Rajpurkar et al., arXiv:1606.05250, adapt).
  """
  weights: dict[str, float]
  most: float
  name: ClassVar[str] = 'word overlap'

  @classmethod
  def fit(cls, examples: Sequence[passages.Question]) -> 'Overlap':
    """Counts the texts that have each word."""
    texts = dict.fromkeys(each.context for each in examples)
    counts = collections.Counter(
        word for text in texts for word in {w.text for w in words(text)})
    total = len(texts) + 1
    return cls({word: math.log(total / count)
                for word, count in counts.items()}, math.log(total))

  def __call__(self, example: passages.Question) -> tuple[str, float]:
    """Returns (best answer, how much no answer is preferred to it)."""
    asked = {word.text for word in words(example.question)}
    whole = sum(map(self._weight, asked)) or 1.0
    best, share = [], -1.0
    for sentence in _SENTENCES.finditer(example.context):
      inside = list(words(example.context, *sentence.span()))
      found = sum(map(self._weight, asked & {word.text for word in inside}))
      if found / whole > share and inside:
        best, share = inside, found / whole
    runs = list(self._runs(best, asked))
    if not runs:
      return '', math.inf
    run = max(runs, key=lambda run: sum(
        self._weight(word.text) for word in run) / max(len(run), 2))
    return example.context[run[0].start:run[-1].end], 1.0 - share

  def _weight(self, word: str) -> float:
    return self.weights.get(word, self.most)

  def _runs(self, sentence: Sequence[Word], asked: set[str]
            ) -> Iterator[list[Word]]:
    """Yields the runs of words that the question does not have."""
    for start in range(len(sentence)):
      for end in range(start + 1, min(start + _LONGEST, len(sentence)) + 1):
        if sentence[end - 1].text in asked:
          break
        yield sentence[start:end]


BASELINES = {'no_answer': NoAnswer, 'overlap': Overlap}


def words(text: str, start: int = 0, end: int | None = None
          ) -> Iterator[Word]:
  """Yields the words of a part of a text.

  In scripts that do not separate words, each letter is one.

  Example:
    >>> [word.text for word in words('The 中文 text', 4)]
    ['中', '文', 'text']
  """
  for found in _PARTS.finditer(text, start, len(text) if end is None else end):
    place = found.start()
    for part in scripts.spaced(found[0]).split():
      yield Word(part.lower(), place, place + len(part))
      place += len(part)
