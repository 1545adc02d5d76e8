"""The interface of tokenizers: encode and decode texts and documents."""
from collections.abc import Iterable, Iterator, Mapping, Sequence
import hashlib
import json
import pathlib
import re
import types
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core.files import durable
from lmjax.data import scripts
from lmjax.data.tokenizers import frames
from lmjax.data.tokenizers import offsets

FILE = 'tokenizer.json'
_ASIAN = {bytes([i]) for i in range(0xe3, 0xea)}  # Of U+3000 to U+9FFF.


def _begins(raw: bytes) -> bool:
  """Returns whether a token begins a word, whatever is before it."""
  if raw[:1].isspace():
    return True
  first = raw.decode('utf-8', 'ignore')[:1]
  return scripts.is_unspaced(first) if first else raw[:1] in _ASIAN


def _ends(raw: bytes) -> bool:
  """Returns whether a token ends a word, whatever is after it."""
  last = raw.decode('utf-8', 'ignore')[-1:]
  return bool(last) and scripts.is_unspaced(last)


def any_of(names: Iterable[str]) -> re.Pattern[str]:
  """Returns the pattern of any of these names, the longest first, as a group.
  """
  longest = sorted(set(names), key=lambda name: (-len(name), name))
  return re.compile(f"({'|'.join(map(re.escape, longest)) or '(?!)'})")


class Tokenizer:
  """The base class of tokenizers, which map text to ids and back.

  Attributes:
    vocab_size: Number of ids; ids are 0 .. vocab_size - 1.
    bos_id: The id that begins every document, or None if documents begin with
      text.
    eos_id: The id that ends a text, or None; `frame` has it if documents end
      with it.
    specials: Ids by name that no text is encoded to, such as '[MASK]'.
      `specials.Extended` adds them.
    sentinel_ids: Ids of the specials <extra_id_0>, <extra_id_1>, ...
    start_id: The id that a decoder reads before its text, as published
      encoder-decoders do; None if a decoder begins with its text, which then
      has a sentinel, BOS or EOS in front. See `objectives.seq2seq`.
    word_prefix: Text to put before a word that is encoded alone, so that it
      gets the same ids as inside a text: a space, or '' if the tokenizer itself
      puts a space before every text.
    pair_prefix: Text to put before the second text of a pair.
  """
  vocab_size: int
  bos_id: int | None
  eos_id: int | None
  specials: Mapping[str, int] = types.MappingProxyType({})
  sentinel_ids: tuple[int, ...] = ()
  start_id: int | None = None
  word_prefix: str = ' '
  pair_prefix: str = ' '

  @property
  def first_id(self) -> int | None:
    """The id to put before a text that nothing precedes, in order to score it.

    It is BOS, or else EOS, which ends the document before; None without either.
    """
    return self.eos_id if self.bos_id is None else self.bos_id

  def encode(self, text: str) -> np.ndarray:
    """Returns the ids of the text alone, 1-D of `dtype`.

    No text is encoded to BOS, EOS or another control id.
    """
    raise TypeError(f'{type(self).__name__} should define encode.')

  def spans(self, text: str) -> np.ndarray:
    """Returns the characters of a text that each id of `encode` is from.

    Whitespace around a token is not in its span. Tokens of whitespace alone
    have an empty one.

    Returns:
      The first character of each token and the first one after it, int64
      [tokens, 2].
    """
    return offsets.aligned(
        text, [self.token_bytes(i) for i in self.encode(text).tolist()])

  @property
  def special_names(self) -> tuple[str, ...]:
    """The names by which `encode_with_specials` finds special tokens."""
    return tuple(self.specials)

  def encode_with_specials(
      self, text: str, plain: Mapping[str, str] = types.MappingProxyType({})
  ) -> np.ndarray:
    """Returns the ids of a text in which names of special tokens are theirs.

    It is for text that a program wrote, such as a rendered chat. `encode` is
    for text of users, who could otherwise write special tokens.

    Args:
      text: The text.
      plain: Marks in the text, each with the text that it stands for, which is
        encoded as text even if it is the name of a special token.
    """
    marks = any_of(plain)
    # Text, name, text, ..., text.
    parts = any_of(self.special_names).split(text)
    return np.concatenate([
        np.array([self.specials[part]], self.dtype) if i % 2 else self.encode(
            marks.sub(lambda found: plain[found[0]], part))
        for i, part in enumerate(parts)])

  def decode(self, ids: Iterable[int]) -> str:
    """Returns the text of the ids; control ids have none.

    Ids that end within a character give U+FFFD in its place.

    Raises:
      InputError: If an id is outside the vocabulary.
    """
    raise TypeError(f'{type(self).__name__} should define decode.')

  def token_bytes(self, token: int) -> bytes:
    """Returns the UTF-8 bytes of one id, which are empty for control ids.

    The bytes of successive ids join to the text, so an incremental UTF-8
    decoder can print a stream of ids.
    """
    raise TypeError(f'{type(self).__name__} should define token_bytes.')

  def frame(self, texts: int = 1) -> frames.Frame:
    """Returns the ids around a row of one text, a document, or of two texts.

    A document is [BOS] text [EOS]. A pair is [CLS] A [SEP] B [SEP] if the
    tokenizer has these specials, and [BOS] A B [EOS] otherwise.
    """
    if texts > 1 and {'[CLS]', '[SEP]'} <= set(self.specials):
      end = [self.specials['[SEP]']]
      return frames.Frame.of([self.specials['[CLS]']], end, end, texts=texts)
    return frames.Frame.of([self.bos_id], [], [self.eos_id], texts=texts)

  def encode_document(self, text: str) -> np.ndarray:
    """Returns the ids of a whole document, with the ids of `frame`."""
    return np.concatenate(list(self.document_parts(text)))

  def encode_parts(self, text: str) -> Iterator[np.ndarray]:
    """Yields the ids of `encode` in parts, which need less memory."""
    yield self.encode(text)

  def document_parts(self, text: str) -> Iterator[np.ndarray]:
    """Yields the ids of `encode_document` in parts; see `encode_parts`."""
    frame = self.frame()
    yield np.array(frame.before, self.dtype)
    yield from self.encode_parts(text)
    yield np.array(frame.after, self.dtype)

  def encode_documents(
      self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ids of documents, one after the other, and their lengths.

    The ids are the same as from `encode_document`, in a fraction of the time
    for short documents.
    """
    ids, lengths = self.encode_all(texts)
    frame = self.frame()
    before, after = len(frame.before), len(frame.after)
    if not before and not after:
      return ids, lengths
    lengths = lengths + before + after
    ends = np.cumsum(lengths)
    out = np.empty(int(lengths.sum()), self.dtype)
    is_text = np.ones(len(out), bool)
    starts = ends - lengths
    for place, id in [(starts + i, id) for i, id in enumerate(frame.before)] + [
        (ends - after + i, id) for i, id in enumerate(frame.after)]:
      out[place], is_text[place] = id, False
    out[is_text] = ids
    return out, lengths

  def encode_all(
      self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the joined ids of texts, without BOS and EOS, and the lengths."""
    rows = [self.encode(text) for text in texts]
    lengths = np.array([len(row) for row in rows], np.int64)
    return np.concatenate(rows), lengths

  def special(self, name: str) -> int:
    """Returns the id of a special token, such as '[MASK]'.

    Raises:
      InputError: If the tokenizer has no special token of that name.
    """
    if name not in self.specials:
      raise errors.InputError(
          f'The tokenizer has no {name}, only '
          f'{", ".join(self.specials) or "ids for text"}; add it with '
          f"--config.data.specials='{name}'.")
    return self.specials[name]

  @property
  def control_ids(self) -> tuple[int, ...]:
    """Ids that stand for no text: BOS, EOS and all specials."""
    ends = [i for i in (self.bos_id, self.eos_id) if i is not None]
    return tuple(dict.fromkeys([*ends, *self.specials.values()]))

  @property
  def word_starts(self) -> np.ndarray:
    """Whether each id begins a word, bool [vocab_size].

    A word begins with whitespace and ends before the next whitespace; a control
    id is a word of its own. A letter of a script that does not separate words,
    such as Chinese, begins one too, and the id after it as well; see
    `word_ends`. UTF-8 bytes begin one if they can only be such a letter.
    """
    control = set(self.control_ids)
    return np.array([i in control or _begins(self.token_bytes(i))
                     for i in range(self.vocab_size)])

  @property
  def word_ends(self) -> np.ndarray:
    """Whether a word ends with each id, bool [vocab_size].

    It does if the id ends with a letter of a script that does not separate
    words. Other words end where the next one begins; see `word_starts`.
    """
    return np.array([_ends(self.token_bytes(i))
                     for i in range(self.vocab_size)])

  @property
  def dtype(self) -> np.dtype:
    """The smallest unsigned type that holds every id."""
    return np.dtype(np.uint16 if self.vocab_size <= 2**16 else np.uint32)

  @property
  def name(self) -> str:
    """The tokenizer's name for messages and reports."""
    raise TypeError(f'{type(self).__name__} should define name.')

  def describe(self) -> str:
    """Returns one line: the name, the number of ids, and the document rule."""
    roles = {self.bos_id: 'BOS ', self.eos_id: 'EOS '}
    names = {id: f'{name} ' for name, id in self.specials.items()}
    before, _, after = (
        [f'{roles.get(i, "")}{names.get(i, "")}({i})' for i in ids]
        for ids in self.frame().ids)
    start = '' if self.start_id is None else (
        f'; a decoder starts from {names.get(self.start_id, "")}'
        f'({self.start_id})')
    return (f'{self.name}, {self.vocab_size:,} ids; a document is '
            f'{" + ".join([*before, "tokens", *after])}{start}')

  def shortfall(self, asked: int | None) -> list[str]:
    """Returns a sentence if there are fewer ids than were asked for, or [].

    Args:
      asked: Number of ids that the config asks for, without `specials`; None if
        it asks for no number.
    """
    size = self.vocab_size - len(self.specials)
    return [] if asked is None or size >= asked else [
        f'The vocabulary has {size:,} ids instead of the {asked:,} that were '
        'asked for: the text gives no more.']

  def state(self) -> dict[str, Any]:
    """Returns JSON types that, with `files`, define the tokenizer."""
    raise TypeError(f'{type(self).__name__} should define state.')

  def files(self) -> dict[str, bytes]:
    """Returns {name: content} of the files that define the tokenizer."""
    return {}

  @property
  def digest(self) -> str:
    """SHA-256 of the state and the files."""
    sha = hashlib.sha256(json.dumps(self.state(), sort_keys=True).encode())
    for name, content in sorted(self.files().items()):
      sha.update(name.encode() + content)
    return sha.hexdigest()

  def save(self, directory: str | pathlib.Path) -> None:
    """Writes `tokenizer.json` and the files into the directory.

    A file that is there already, with the same contents, is not written again.
    """
    directory = pathlib.Path(directory)
    durable.make_folder(directory)
    state = json.dumps(self.state() | {'digest': self.digest}, indent=2)
    for name, content in {
        **self.files(), FILE: f'{state}\n'.encode()}.items():
      path = directory / name
      if not (path.is_file() and path.read_bytes() == content):
        atomic.write(path, content)

  def check(self, ids: Iterable[int]) -> np.ndarray:
    """Returns ids as an int64 array; raises InputError for ids out of range."""
    if not isinstance(ids, (np.ndarray, list, tuple)):
      ids = list(ids)
    ids = np.asarray(ids, np.int64)
    if ids.size and not 0 <= ids.min() <= ids.max() < self.vocab_size:
      wrong = ids[(ids < 0) | (ids >= self.vocab_size)][0]
      raise errors.InputError(
          f'Token id {wrong} is outside the vocabulary of {self.name}, whose '
          f'ids are 0 to {self.vocab_size - 1}.')
    return ids
