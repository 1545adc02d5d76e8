"""Word-level tokenizers, as used by the classic word-level data sets."""
import collections
from collections.abc import Iterable
import dataclasses
import re
from typing import Annotated, Any

import numpy as np

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.data import documents as documents_lib
from lmjax.data import facts
from lmjax.data.tokenizers import offsets
from lmjax.data.tokenizers import vocabulary

_LINE_END = '\n'  # A word, called <eos> in the literature.
_Size = Annotated[int, ranges.Range(
    2, note='It counts the end of a line and the mark of unknown words.')]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Words:
  """One id per word of the training text, the most frequent first.

  Whitespace separates words, and the end of a line is a word too. This is the
  vocabulary of data sets that are split into words, such as the Penn Treebank
  with 10,000 words (Mikolov et al., 2010) or WikiText (Merity et al.,
  arXiv:1609.07843): a line " a b c \\n" becomes a, b, c and the line's end, and
  is decoded to the same text. Other whitespace becomes a single space, and so
  does a line's end if there is none in the training text, as where documents
  are lines.

  Any other word becomes `unk`, and its letters are lost; bits per byte then
  refer to the text with `unk` in its place.

  Attributes:
    max_size: Most words, line end and `unk` included; None takes all.
    unk: The word that replaces unknown words; in a text it stands for itself.
    bos: Whether documents begin with BOS.
    eos: Whether documents end with EOS, in addition to their last line's end.
  """
  max_size: _Size | None = None
  unk: str = '<unk>'
  bos: bool = False
  eos: bool = False
  needs = 'train'  # Splits that `build` reads.
  asked = None  # Number of ids that the config asks for.

  def __post_init__(self):
    if self.unk.split() != [self.unk]:
      raise errors.InputError(
          f'Words.unk should be a single word; got {self.unk!r}.')

  def build(self, documents: Iterable[str]) -> 'WordTokenizer':
    """Returns the tokenizer of the most frequent words of the documents."""
    counts = collections.Counter()
    for text in documents:
      for piece in facts.cut(text, str.isspace):
        documents_lib.utf8(piece)
        counts.update(_split(piece))
    if not counts:
      raise errors.InputError(
          'Words needs documents to take its vocabulary from; got none.')
    always = {self.unk} | ({_LINE_END} & counts.keys())
    counts.setdefault(self.unk, 0)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    if self.max_size is not None and len(ranked) > self.max_size:
      others = [word for word in ranked if word not in always]
      kept = always.union(others[:self.max_size - len(always)])
      ranked = [word for word in ranked if word in kept]
    return WordTokenizer(ranked, self.unk, self.bos, self.eos)

  @staticmethod
  def restore(state, directory) -> 'WordTokenizer':
    """Returns the tokenizer whose `state` was saved in the directory."""
    return WordTokenizer.restore(state, directory)


class WordTokenizer(vocabulary.Tokenizer):
  """See `Words`.

  Args:
    words: The words; the index of a word is its id.
    unk: The one of them that replaces unknown words.
    bos: Whether documents begin with BOS.
    eos: Whether documents end with EOS.
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
    found = _split(text) if _LINE_END in ids else text.split()
    return np.array([ids.get(word, unknown) for word in found], self.dtype)

  def spans(self, text):
    whole = r'\S+|\n' if _LINE_END in self._ids else r'\S+'
    found = [match.span() for match in re.finditer(whole, text)]
    return offsets.trimmed(text, found)

  def encode_parts(self, text):
    return map(self.encode, facts.cut(text, str.isspace))

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
      raise ValueError('its words are not a list of distinct words')
    return cls(words, state['unk'], state['bos'], state['eos'])


def _split(text: str) -> list[str]:
  """Returns the words of a text, line ends included."""
  first, *others = text.split(_LINE_END)
  words = first.split()
  for line in others:
    words.append(_LINE_END)
    words += line.split()
  return words
