"""Turns sentences into rows of subwords; first subwords have the words' labels.
"""
from collections.abc import Sequence
import dataclasses

import numpy as np

from lmjax.core import errors
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.tasks import rows as rows_lib
from lmjax.tasks import sentences as sentences_lib


@dataclasses.dataclass(frozen=True)
class WordRows(rows_lib.Rows):
  """Rows of sentences, whose batches have a label and a weight for each token.

  Batches also have `words`, 1 for the first subword of each word.

  Attributes:
    columns: For each sentence, the column of each word's first subword; None
      for words that were cut off or that have no token.
  """
  columns: tuple[tuple[int | None, ...], ...] = ()

  def describe(self) -> str:
    """Returns a description of the rows, with the number of words lost."""
    words = sum(map(len, self.columns))
    lost = sum(columns.count(None) for columns in self.columns)
    if not lost:
      return super().describe()
    return (f'{super().describe()}; {lost:,} of {words:,} words were cut off '
            'or have no token, and are tagged O')


def build(features: rows_lib.Features,
          sentences: Sequence[sentences_lib.Sentence],
          labels: Sequence[Sequence[int | None]],
          tokenizer: tokenizer_lib.Tokenizer) -> WordRows:
  """Returns the rows of sentences.

  Each word is tokenized separately, with the prefix that a word has within a
  text; the first word has `features.prefix`.

  Args:
    features: How sentences become rows.
    sentences: The sentences.
    labels: For each sentence, the label of each word; a word whose label is
      None has weight 0.
    tokenizer: Maps text to ids.

  Raises:
    InputError: If a row would have no tokens.
  """
  encoded = _encoded(features.prefix, sentences, tokenizer)
  rows, columns = [], []
  for sentence, words in zip(sentences, encoded):
    row = rows_lib.layout([np.concatenate(words)], features.longest, tokenizer)
    if not len(row.ids):
      raise errors.InputError(
          f'{sentence.where}: no word of this sentence becomes a token; remove '
          'it, or use another tokenizer.')
    rows.append(row)
    columns.append(_columns(words, *row.spans[0]))
  shape = len(rows), features.longest
  by_token = {'labels': np.zeros(shape, np.int32),
              'weights': np.zeros(shape, np.float32),
              'words': np.zeros(shape, np.int32)}
  for i, (places, ids) in enumerate(zip(columns, labels)):
    by_token['words'][i, [p for p in places if p is not None]] = 1
    for place, label in zip(places, ids):
      if place is not None and label is not None:
        by_token['labels'][i, place] = label
        by_token['weights'][i, place] = 1.0
  return WordRows(
      features, rows_lib.padded([row.ids for row in rows], features.longest),
      np.array([len(row.ids) for row in rows], np.int32),
      sum(row.cut for row in rows), by_token=by_token, columns=tuple(columns))


def _encoded(prefix: str, sentences: Sequence[sentences_lib.Sentence],
             tokenizer: tokenizer_lib.Tokenizer) -> list[list[np.ndarray]]:
  """Returns the ids of each word of each sentence; equal words share an array.
  """
  inside = tokenizer.word_prefix
  first = inside + prefix[1:] if prefix.startswith(' ') else prefix
  spelled = [[(inside if place else first) + word
              for place, word in enumerate(sentence.words)]
             for sentence in sentences]
  words = list(dict.fromkeys(word for row in spelled for word in row))
  if not words:
    return []
  ids, lengths = tokenizer.encode_all(words)
  found = dict(zip(words, np.split(ids, np.cumsum(lengths)[:-1])))
  return [[found[word] for word in row] for row in spelled]


def _columns(words: Sequence[np.ndarray], start: int, end: int
             ) -> tuple[int | None, ...]:
  """Returns the column of each word's first token before `end`, or None."""
  found, column = [], start
  for ids in words:
    found.append(column if len(ids) and column < end else None)
    column += len(ids)
  return tuple(found)
