"""What every tokenizer does: text to ids and back, and where documents end."""
from collections.abc import Iterable, Mapping, Sequence
import hashlib
import json
import pathlib
import types
from typing import Any

import numpy as np

from lmjax.core import errors

FILE = 'tokenizer.json'


class Tokenizer:
  """Text to ids and back: the interface of `symbols` and `subwords`.

  Attributes:
    vocab_size: How many ids there are; ids are 0 .. vocab_size - 1.
    bos_id: The id put before every document, or None.
    eos_id: The id put after every document, or None.
    specials: Ids by name that no text becomes, such as '[MASK]'; BOS and EOS
      are not among them. `specials.Extended` adds them.
    sentinel_ids: Those of them named <extra_id_0>, <extra_id_1>, ...
  """
  vocab_size: int
  bos_id: int | None
  eos_id: int | None
  specials: Mapping[str, int] = types.MappingProxyType({})
  sentinel_ids: tuple[int, ...] = ()

  def encode(self, text: str) -> np.ndarray:
    """Returns the ids of the text alone, 1-D of `dtype`.

    Whatever the text says, it never becomes BOS, EOS or another control id.
    """
    raise TypeError(f'{type(self).__name__} should define encode.')

  def decode(self, ids: Iterable[int]) -> str:
    """Returns the text of the ids; control ids are silent.

    Ids that stop within a character give U+FFFD in its place.

    Raises:
      InputError: On an id outside the vocabulary.
    """
    raise TypeError(f'{type(self).__name__} should define decode.')

  def token_bytes(self, token: int) -> bytes:
    """Returns the UTF-8 bytes that one id stands for; none for control ids.

    Bytes of successive ids join to the text, so a stream can be printed as it
    comes through an incremental UTF-8 decoder.
    """
    raise TypeError(f'{type(self).__name__} should define token_bytes.')

  def encode_document(self, text: str) -> np.ndarray:
    """Returns the ids of a whole document: [BOS] text [EOS], as described."""
    bos = [] if self.bos_id is None else [self.bos_id]
    eos = [] if self.eos_id is None else [self.eos_id]
    return np.concatenate([bos, self.encode(text), eos], dtype=self.dtype,
                          casting='unsafe')  # An empty list is of floats.

  def encode_documents(
      self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ids of documents, one after the other, and their lengths.

    The same as `encode_document` for each, at a fraction of its time where
    documents are short.
    """
    ids, lengths = self.encode_all(texts)
    before, after = self.bos_id is not None, self.eos_id is not None
    if not before and not after:
      return ids, lengths
    lengths = lengths + before + after
    ends = np.cumsum(lengths)
    out = np.empty(int(lengths.sum()), self.dtype)
    is_text = np.ones(len(out), bool)
    if before:
      out[ends - lengths] = self.bos_id
      is_text[ends - lengths] = False
    if after:
      out[ends - 1] = self.eos_id
      is_text[ends - 1] = False
    out[is_text] = ids
    return out, lengths

  def encode_all(
      self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ids of texts joined, without BOS and EOS, and the lengths."""
    rows = [self.encode(text) for text in texts]
    lengths = np.array([len(row) for row in rows], np.int64)
    return np.concatenate(rows), lengths

  def special(self, name: str) -> int:
    """Returns the id of a special, such as '[MASK]'.

    Raises:
      InputError: If the tokenizer has none of that name.
    """
    if name not in self.specials:
      raise errors.InputError(
          f'The tokenizer has no {name}, only '
          f'{", ".join(self.specials) or "ids for text"}; name what it should '
          f"have: --config.data.specials='{name}'.")
    return self.specials[name]

  @property
  def control_ids(self) -> tuple[int, ...]:
    """Ids that are no text: BOS, EOS and all specials."""
    ends = [i for i in (self.bos_id, self.eos_id) if i is not None]
    return (*ends, *self.specials.values())

  @property
  def word_starts(self) -> np.ndarray:
    """Whether each id begins a word, bool [vocab_size].

    A word is whitespace and what follows it, up to the next whitespace; an id
    that is no text stands alone.
    """
    control = set(self.control_ids)
    return np.array([i in control or self.token_bytes(i)[:1].isspace()
                     for i in range(self.vocab_size)])

  @property
  def dtype(self) -> np.dtype:
    """The smallest unsigned type that holds every id."""
    return np.dtype(np.uint16 if self.vocab_size <= 2**16 else np.uint32)

  @property
  def name(self) -> str:
    """The tokenizer as a person would name it."""
    raise TypeError(f'{type(self).__name__} should define name.')

  def describe(self) -> str:
    """Returns one line: what it is, how many ids, and the document rule."""
    before = '' if self.bos_id is None else f'BOS ({self.bos_id}) + '
    after = '' if self.eos_id is None else f' + EOS ({self.eos_id})'
    return (f'{self.name}, {self.vocab_size:,} ids; a document is '
            f'{before}tokens{after}')

  def state(self) -> dict[str, Any]:
    """Returns all that defines the tokenizer, as JSON, but for its files."""
    raise TypeError(f'{type(self).__name__} should define state.')

  def files(self) -> dict[str, bytes]:
    """Returns the files, by name, that the state needs beside it."""
    return {}

  @property
  def digest(self) -> str:
    """SHA-256 over all that defines the tokenizer."""
    sha = hashlib.sha256(json.dumps(self.state(), sort_keys=True).encode())
    for name, content in sorted(self.files().items()):
      sha.update(name.encode() + content)
    return sha.hexdigest()

  def save(self, directory: str | pathlib.Path) -> None:
    """Writes `tokenizer.json`, and what it needs, into the directory."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in self.files().items():
      (directory / name).write_bytes(content)
    state = self.state() | {'digest': self.digest}
    (directory / FILE).write_text(json.dumps(state, indent=2) + '\n')

  def check(self, ids: Iterable[int]) -> np.ndarray:
    """Returns ids as an int64 array, or says which is out of the vocabulary."""
    if not isinstance(ids, (np.ndarray, list, tuple)):
      ids = list(ids)
    ids = np.asarray(ids, np.int64)
    if ids.size and not 0 <= ids.min() <= ids.max() < self.vocab_size:
      wrong = ids[(ids < 0) | (ids >= self.vocab_size)][0]
      raise errors.InputError(
          f'Token id {wrong} is outside the vocabulary of {self.name}, whose '
          f'ids are 0 to {self.vocab_size - 1}.')
    return ids
