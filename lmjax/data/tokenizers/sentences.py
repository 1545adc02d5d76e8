"""Tokenizers of pretrained models whose text SentencePiece itself encodes."""
from collections.abc import Mapping, Sequence
import re
from typing import Any

import numpy as np

from lmjax.core.files import safe_paths
from lmjax.data.tokenizers import library
from lmjax.data.tokenizers import roles as roles_lib
from lmjax.data.tokenizers import specs
from lmjax.data.tokenizers import subwords
from lmjax.data.tokenizers import vocabulary

FILE = 'sentencepiece.model'


class SentenceTokenizer(library.LibraryTokenizer):
  """A SentencePiece model with a checkpoint's ids, special tokens and frame.

  SentencePiece encodes, as when the checkpoint was trained: the `tokenizers`
  library normalises some combining characters in another way.

  Args:
    model: The contents of a SentencePiece model file.
    spec: The value of a tokenizer.json with the same pieces, perhaps under
      other ids.
    roles: The token of each role.
    bos: Whether documents begin with BOS; None if as `spec` says.
    eos: Whether documents end with EOS; None if as `spec` says.
    path: The name of the tokenizer in messages.
    start: The id that a decoder reads before its text, or None.

  Raises:
    InputError: If the model or the spec is not usable.
  """

  def __init__(self, model: bytes, spec: Mapping[str, Any],
               roles: Mapping[str, str], bos: bool | None = None,
               eos: bool | None = None, path: str = FILE,
               start: int | None = None):
    self._model = model
    self._engine = subwords.SubwordTokenizer(model, False, False, path)
    with specs.refusing(f'{path!r} is not a usable tokenizer'):
      tokens = specs.tokens_of(spec)
      ids = {token: i for i, token in enumerate(tokens)}
      unknown = ids[roles['unk']]
      pieces = map(self._engine.piece, range(self._engine.vocab_size))
      self._ids = np.array([ids.get(piece, unknown) for piece in pieces])
      own = {*map(self._engine.piece, range(self._engine.vocab_size))}
      added = {token['content']: token for token in spec['added_tokens']}
      self._apart = _split([name for name, token in added.items()
                            if not token['special'] and name not in own])
    super().__init__(spec, roles, bos, eos, path, start)
    self._apart_with_specials = _split([
        *(name for name in added if name not in own),
        *(self._tokens[i] for i in self.control_ids)])

  def spans(self, text):
    return vocabulary.Tokenizer.spans(self, text)

  def _rows(self, texts):
    return self._encoded(texts, self._apart)

  def _rows_with_specials(self, texts):
    return self._encoded(texts, self._apart_with_specials)

  def _encoded(self, texts, apart):
    """Returns the ids of texts, in which some tokens are found as they are."""
    ids = {token: i for i, token in enumerate(self._tokens)} if apart else {}
    rows = []
    for text in texts:
      parts = apart.split(text) if apart else [text]
      encoded, lengths = self._engine.encode_all(parts[::2])
      encoded = np.split(self._ids[encoded], np.cumsum(lengths)[:-1])
      named = [[ids[name]] for name in parts[1::2]] + [[]]
      rows.append(np.concatenate([
          each for pair in zip(encoded, named) for each in pair]))
    return rows

  def state(self) -> dict[str, Any]:
    return super().state() | {'engine': 'SentencePiece'}

  def files(self) -> dict[str, bytes]:
    return super().files() | {FILE: self._model}

  @classmethod
  def restore(cls, state, directory) -> 'SentenceTokenizer':
    model = safe_paths.safe_join(directory, FILE)
    path = safe_paths.safe_join(directory, library.FILE)
    spec = specs.parsed(specs.read_bytes(path), str(path))
    return cls(specs.read_bytes(model), spec,
               roles_lib.checked(state['roles']), state['bos'], state['eos'],
               str(model), state.get('start'))


def _split(names: Sequence[str]) -> re.Pattern | None:
  """Returns the pattern that splits a text at names, the longest first."""
  return vocabulary.any_of(names) if names else None
