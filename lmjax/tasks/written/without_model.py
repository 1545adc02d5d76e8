"""Texts that are written without a model: copies, first words, neighbours."""
from collections.abc import Callable, Sequence

import numpy as np

from lmjax.data import scripts
from lmjax.evaluation.downstream.written import overlaps
from lmjax.tasks.baselines import retrieval
from lmjax.tasks import task as task_lib
from lmjax.tasks.written import example as example_lib

_LENGTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 30, 40, 60, 80)
_MOST = 500  # Pairs on which the number of words is chosen.
_POOL = 50_000  # Training pairs among which the nearest one is searched.

# baseline(splits) -> its title, and its text for each test pair.
Baseline = Callable[[task_lib.Splits], tuple[str, Sequence[str]]]


def copy(splits: task_lib.Splits) -> tuple[str, Sequence[str]]:
  """Returns the sources themselves."""
  return 'copy of the source', [pair.source for pair in splits.test]


def lead(splits: task_lib.Splits) -> tuple[str, Sequence[str]]:
  """Returns the first words of sources.

  Their number has the highest ROUGE-L on the validation split. In a script
  without spaces, letters are counted.
  """
  some = splits.valid[:_MOST]
  scores = [np.mean([_agreement(pair, number) for pair in some])
            for number in _LENGTHS]
  number = _LENGTHS[int(np.argmax(scores))]
  return f'first {number} words', [
      leading(pair.source, number) for pair in splits.test]


def nearest(splits: task_lib.Splits) -> tuple[str, Sequence[str]]:
  """Returns the target of the training pair whose source is most alike.

  The source of highest BM25 is taken, among the first 50,000 training pairs; of
  several the first one.
  """
  pool = splits.train[:_POOL]
  index = retrieval.BM25.fit([pair.source for pair in pool])
  return 'target of the nearest source', [
      pool[int(index([pair.source])[0].argmax())].targets[0]
      for pair in splits.test]


BASELINES: dict[str, Baseline] = {
    'copy': copy, 'lead': lead, 'nearest': nearest}


def leading(text: str, number: int) -> str:
  """Returns the first words of a text, and letters of scripts without spaces.

  Example:
    >>> leading('One two, three.', 2), leading('我爱 北京', 3)
    ('One two,', '我爱 北')
  """
  place = 0
  for word in scripts.spaced(text).split()[:number]:
    place = text.index(word, place) + len(word)
  return text[:place]


def _agreement(pair: example_lib.Pair, number: int) -> float:
  """Returns ROUGE-L of the first words of a source."""
  return overlaps.rouge(leading(pair.source, number), pair.targets)['rougeL']
