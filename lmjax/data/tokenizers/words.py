"""One id a word, as the classic word-level data sets are scored."""
import collections
from collections.abc import Iterable
import dataclasses
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.data.text import documents as documents_lib
from lmjax.data.tokenizers import vocabulary

_LINE_END = '\n'  # A word of its own: <eos> in the literature.


@dataclasses.dataclass(frozen=True)
class Words:
  """One id a word of the training text, the most frequent first.

  Words are what whitespace separates, and the end of a line is one too. This
  is the vocabulary of text prepared by words, such as the Penn Treebank's
  10,000 (Mikolov et al., 2010) or WikiText's (Merity et al., arXiv:1609.07843):
  a line " a b c \\n" is a, b, c and the line's end, and comes back as it was.
  Other whitespace becomes a single space.

  A word that is not among them becomes `unk`, and its letters are lost: where
  that happens, bits a byte are those of the text with the mark.

  Attributes:
    max_size: The most words, line end and `unk` among them; None takes all.
    unk: What stands for unknown words; in the text it is itself.
    bos: Whether documents begin with an id of their own.
    eos: Whether documents end with one, besides their last line's end.
  """
  max_size: int | None = None
  unk: str = '<unk>'
  bos: bool = False
  eos: bool = False
  needs = 'train'  # Of the text, to be built.

  def __post_init__(self):
    if self.max_size is not None and self.max_size < 2:
      raise errors.InputError(
          'Words.max_size should be at least 2, for the end of a line and the '
          f'mark of unknown words; got {self.max_size}.')
    if self.unk.split() != [self.unk]:
      raise errors.InputError(
          f'Words.unk should be a single word; got {self.unk!r}.')

  def build(self, documents: Iterable[str]) -> 'WordTokenizer':
    """Returns the tokenizer of the words that the documents use most."""
    counts = collections.Counter()
    for text in documents:
      counts.update(_split(documents_lib.utf8(text).decode()))
    if not counts:
      raise errors.InputError(
          'Words needs documents to take its vocabulary from; got none.')
    for always in self.unk, _LINE_END:
      counts.setdefault(always, 0)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    if self.max_size is not None and len(ranked) > self.max_size:
      room = self.max_size - 2
      kept = set([w for w in ranked if w not in (self.unk, _LINE_END)][:room])
      ranked = [w for w in ranked if w in kept or w in (self.unk, _LINE_END)]
    return WordTokenizer(ranked, self.unk, self.bos, self.eos)

  @staticmethod
  def restore(state, directory) -> 'WordTokenizer':
    """Returns the tokenizer whose `state` was saved in the directory."""
    return WordTokenizer.restore(state, directory)


class WordTokenizer(vocabulary.Tokenizer):
  """See `Words`.

  Args:
    words: The words; the place of each is its id.
    unk: Which of them stands for unknown ones.
    bos: Whether documents begin with an id of their own.
    eos: Whether documents end with one.
  """
  name = 'words'

  def __init__(self, words: list[str], unk: str, bos: bool, eos: bool):
    self.words, self.unk = list(words), unk
    size = len(self.words)
    self.bos_id = size if bos else None
    self.eos_id = size + bos if eos else None
    self.vocab_size = size + bos + eos
    self._ids = {word: i for i, word in enumerate(self.words)}
    self.unk_id = self._ids[unk]

  def encode(self, text: str) -> np.ndarray:
    documents_lib.utf8(text)
    unknown, ids = self.unk_id, self._ids
    return np.array([ids.get(word, unknown) for word in _split(text)],
                    self.dtype)

  def decode(self, ids: Iterable[int]) -> str:
    size = len(self.words)
    return ''.join(
        ' ' + self.words[i] for i in self.check(ids).tolist() if i < size)

  def token_bytes(self, token: int) -> bytes:
    token = int(self.check([token])[0])
    if token >= len(self.words):
      return b''
    return (' ' + self.words[token]).encode('utf-8')

  def state(self) -> dict[str, Any]:
    return {'kind': 'Words', 'bos': self.bos_id is not None,
            'eos': self.eos_id is not None, 'unk': self.unk,
            'words': self.words}

  @classmethod
  def restore(cls, state, directory) -> 'WordTokenizer':
    del directory
    words = state['words']
    documents_lib.utf8(''.join(words))
    if not isinstance(words, list) or len(set(words)) != len(words):
      raise ValueError('its words are no list of different ones')
    return cls(words, state['unk'], state['bos'], state['eos'])


def _split(text: str) -> list[str]:
  """Returns the words of a text, each end of a line among them."""
  first, *others = text.split(_LINE_END)
  words = first.split()
  for line in others:
    words.append(_LINE_END)
    words += line.split()
  return words
