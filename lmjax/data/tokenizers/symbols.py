"""Tokenizers without merges: one id per byte, or one id per character."""
from collections.abc import Iterable
import dataclasses
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.data import documents as documents_lib
from lmjax.data import facts
from lmjax.data.tokenizers import vocabulary


@dataclasses.dataclass(frozen=True)
class Bytes:
  """One id per UTF-8 byte, 0 to 255, followed by BOS and EOS.

  It can encode any text. Tokens are bytes, so that bits per byte need no
  conversion.

  Attributes:
    bos: Whether a document begins with BOS.
    eos: Whether a document ends with EOS.
  """
  bos: bool = True
  eos: bool = True
  needs = 'nothing'  # Splits that `build` reads.
  asked = None  # Number of ids that the config asks for.

  def build(self, documents: Iterable[str] = ()) -> 'ByteTokenizer':
    """Returns the tokenizer; it does not depend on the documents."""
    del documents
    return ByteTokenizer(self.bos, self.eos)

  @staticmethod
  def restore(state, directory) -> 'ByteTokenizer':
    """Returns the tokenizer whose `state` was saved in the directory."""
    return ByteTokenizer.restore(state, directory)


@dataclasses.dataclass(frozen=True)
class Characters:
  """One id per character of the corpus, in code-point order, then BOS and EOS.

  The alphabet comes from all splits, but no statistics do. Encoding a text with
  another character raises an error, so use it for closed corpora.

  Attributes:
    bos: Whether a document begins with BOS.
    eos: Whether a document ends with EOS.
  """
  bos: bool = True
  eos: bool = True
  needs = 'all'  # Splits that `build` reads.
  asked = None  # Number of ids that the config asks for.

  def build(self, documents: Iterable[str]) -> 'CharacterTokenizer':
    """Returns the tokenizer of the characters in the documents."""
    alphabet = set()
    for text in documents:
      alphabet.update(text)
    if not alphabet:
      raise errors.InputError(
          'Characters needs documents to take its alphabet from; got none.')
    alphabet = ''.join(sorted(alphabet))
    documents_lib.utf8(alphabet)
    return CharacterTokenizer(alphabet, self.bos, self.eos)

  @staticmethod
  def restore(state, directory) -> 'CharacterTokenizer':
    """Returns the tokenizer whose `state` was saved in the directory."""
    return CharacterTokenizer.restore(state, directory)


class ByteTokenizer(vocabulary.Tokenizer):
  """See `Bytes`."""
  name = 'bytes'

  def __init__(self, bos: bool, eos: bool):
    self.bos_id = 256 if bos else None
    self.eos_id = 256 + bos if eos else None
    self.vocab_size = 256 + bos + eos

  def encode(self, text: str) -> np.ndarray:
    raw = np.frombuffer(documents_lib.utf8(text), np.uint8)
    return raw.astype(self.dtype)

  def encode_parts(self, text):
    return map(self.encode, facts.pieces(text))

  def encode_all(self, texts):
    raws = [documents_lib.utf8(text) for text in texts]
    ids = np.frombuffer(b''.join(raws), np.uint8).astype(self.dtype)
    return ids, np.array([len(raw) for raw in raws], np.int64)

  def decode(self, ids: Iterable[int]) -> str:
    ids = self.check(ids)
    raw = ids[ids < 256].astype(np.uint8).tobytes()
    return raw.decode('utf-8', errors='replace')

  def token_bytes(self, token: int) -> bytes:
    token = int(self.check([token])[0])
    return bytes([token]) if token < 256 else b''

  def state(self) -> dict[str, Any]:
    return {'kind': 'Bytes', 'bos': self.bos_id is not None,
            'eos': self.eos_id is not None}

  @classmethod
  def restore(cls, state, directory) -> 'ByteTokenizer':
    del directory
    return cls(state['bos'], state['eos'])


class CharacterTokenizer(vocabulary.Tokenizer):
  """See `Characters`.

  Args:
    alphabet: The characters; the index of a character is its id.
    bos: Whether documents begin with BOS.
    eos: Whether documents end with EOS.
  """
  name = 'characters'

  def __init__(self, alphabet: str, bos: bool, eos: bool):
    self.alphabet = alphabet
    size = len(alphabet)
    self.bos_id = size if bos else None
    self.eos_id = size + bos if eos else None
    self.vocab_size = size + bos + eos
    self._codes = _codes(alphabet)
    # Maps a code point to its id; the last entry is for all larger ones.
    self._ids = np.full(int(self._codes.max()) + 2, -1, np.int32)
    self._ids[self._codes] = np.arange(size)

  def encode(self, text: str) -> np.ndarray:
    return np.concatenate([np.array([], self.dtype), *self.encode_parts(text)])

  def encode_parts(self, text):
    start = 0
    for piece in facts.pieces(text):
      ids = self._ids[np.minimum(_codes(piece), len(self._ids) - 1)]
      if ids.min() < 0:
        at = start + int(np.argmax(ids < 0))
        raise errors.InputError(
            f'Character {text[at]!r} (U+{ord(text[at]):04X}) at position {at} '
            f'is not among the {len(self.alphabet)} characters of the '
            'tokenizer; remove it, or use Bytes or SentencePiece, which can '
            'write any text.')
      yield ids.astype(self.dtype)
      start += len(piece)

  def encode_all(self, texts):
    lengths = np.array([len(text) for text in texts], np.int64)
    try:
      return self.encode(''.join(texts)), lengths
    except errors.InputError:
      for text in texts:  # Raises with the position in the text itself.
        self.encode(text)
      raise

  def decode(self, ids: Iterable[int]) -> str:
    ids = self.check(ids)
    codes = self._codes[ids[ids < len(self.alphabet)]]
    return codes.astype('<u4').tobytes().decode('utf-32-le')

  def token_bytes(self, token: int) -> bytes:
    token = int(self.check([token])[0])
    return self.alphabet[token:token + 1].encode('utf-8')

  def state(self) -> dict[str, Any]:
    return {'kind': 'Characters', 'bos': self.bos_id is not None,
            'eos': self.eos_id is not None, 'alphabet': self.alphabet}

  @classmethod
  def restore(cls, state, directory) -> 'CharacterTokenizer':
    del directory
    alphabet = state['alphabet']
    documents_lib.utf8(alphabet)
    if len(set(alphabet)) != len(alphabet):
      raise ValueError('a character occurs twice in its alphabet')
    return cls(alphabet, state['bos'], state['eos'])


def _codes(text: str) -> np.ndarray:
  """Returns the code points of the text, one uint32 per character."""
  raw = text.encode('utf-32-le', errors='surrogatepass')
  return np.frombuffer(raw, '<u4')
