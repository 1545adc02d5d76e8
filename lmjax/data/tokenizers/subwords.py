"""SentencePiece: lossless subword tokenizers to train, or models to load.

References:
  Kudo and Richardson, SentencePiece, arXiv:1808.06226.
  Kudo, Subword Regularization (the unigram model), arXiv:1804.10959.
  Sennrich et al., Neural Machine Translation of Rare Words with Subword Units
  (BPE), arXiv:1508.07909.
"""
from collections.abc import Iterable, Iterator
import dataclasses
import io
import itertools
import os
import pathlib
import re
from typing import Any, Literal

import numpy as np

from lmjax.core import errors
from lmjax.core.files import safe_paths
from lmjax.core.files import user_paths
from lmjax.core import ranges
from lmjax.data import documents as documents_lib
from lmjax.data import facts
from lmjax.data.tokenizers import vocabulary

_FILE = 'tokenizer.model'
_SPACE = '\u2581'  # SentencePiece's character for a space in its pieces.
_LONG = 1 << 20  # Texts of more characters are encoded line by line.
_LINES = re.compile('[^\n]*\n|[^\n]+')
_LONGEST = 2000  # Most characters of a training sentence; longer ones are cut.


@dataclasses.dataclass(frozen=True)
@ranges.checked
class SentencePiece:
  """Subwords, learned from the training split or read from a model file.

  A model trained here is lossless: text is not normalised, all whitespace is
  kept, and characters too rare for the vocabulary are written as bytes.

  Attributes:
    vocab_size: Number of ids to learn, control ids and 256 bytes included; a
      small corpus may give fewer.
    model: The algorithm, 'unigram' or 'bpe'.
    path: A `.model` file to use instead of training, which ignores `vocab_size`
      and `model`.
    bos: Whether a document begins with the model's BOS.
    eos: Whether a document ends with the model's EOS.
  """
  vocab_size: ranges.Count = 4096
  model: Literal['unigram', 'bpe'] = 'unigram'
  path: user_paths.Path | None = None
  bos: bool = True
  eos: bool = True

  needs = 'train'  # Splits that `build` reads.

  @property
  def asked(self) -> int | None:
    """Number of ids that the config asks for; None if a file has them."""
    return None if self.path else self.vocab_size

  def build(self, documents: Iterable[str]) -> 'SubwordTokenizer':
    """Returns the tokenizer, trained on documents unless `path` is set.

    Training reads each document once, as a stream, and is bitwise
    deterministic.

    Raises:
      InputError: If the model file is missing or damaged, or if the documents
        cannot fill the vocabulary or do not fit in it.
    """
    if self.path is None:
      return SubwordTokenizer(self._train(documents), self.bos, self.eos)
    try:
      model = pathlib.Path(self.path).read_bytes()
    except OSError as error:
      raise errors.InputError(
          f'Tokenizer model {self.path!r} cannot be read: {error.strerror}.'
      ) from None
    return SubwordTokenizer(model, self.bos, self.eos, self.path)

  @staticmethod
  def restore(state, directory) -> 'SubwordTokenizer':
    """Returns the tokenizer whose `state` was saved in the directory."""
    return SubwordTokenizer.restore(state, directory)

  def _train(self, documents: Iterable[str]) -> bytes:
    import sentencepiece  # Slow to import, and not needed by other tokenizers.
    written = io.BytesIO()
    sentences = _Sentences(documents)
    try:
      sentencepiece.SentencePieceTrainer.train(
          sentence_iterator=iter(sentences), model_writer=written,
          model_type=self.model, vocab_size=self.vocab_size,
          hard_vocab_limit=False, byte_fallback=True,
          normalization_rule_name='identity', add_dummy_prefix=False,
          remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
          user_defined_symbols=['\n', '\t'], max_sentence_length=4 * _LONGEST,
          num_threads=8,  # Fixed: sums, and so the model, depend on it.
          minloglevel=2)
    except (RuntimeError, OSError) as error:
      if sentences.error is not None:
        raise sentences.error from None
      raise errors.InputError(
          f'SentencePiece cannot learn vocab_size={self.vocab_size} '
          f'({self.model}) from this corpus: {_reason(error)}') from None
    return written.getvalue()


class _Sentences:
  """The lines of documents, cut where the trainer would drop them silently.

  Keeps an exception of the source in `error`, because the trainer replaces it
  by one of its own.
  """

  def __init__(self, documents: Iterable[str]):
    self._documents = documents
    self.error: Exception | None = None

  def __iter__(self) -> Iterator[str]:
    try:
      for text in self._documents:
        documents_lib.check(text)
        for line in _lines(text.replace('\0', '')):
          yield from facts.pieces(line, _LONGEST)
    except Exception as error:
      self.error = error
      raise


def _lines(text: str) -> Iterator[str]:
  """Yields the lines of a text, one at a time as it may be long."""
  start = 0
  while (end := text.find('\n', start)) >= 0:
    yield text[start:end]
    start = end + 1
  yield text[start:]


class SubwordTokenizer(vocabulary.Tokenizer):
  """See `SentencePiece`.

  Args:
    model: The bytes of a SentencePiece model file.
    bos: Whether documents begin with its BOS.
    eos: Whether documents end with its EOS.
    path: Name of the model in messages.
  """

  def __init__(self, model: bytes, bos: bool, eos: bool,
               path: str = 'tokenizer.model'):
    import sentencepiece
    try:
      self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
      self.vocab_size = self._processor.vocab_size()
      self._bytes = [self._piece_bytes(i) for i in range(self.vocab_size)]
      probe = self._processor.encode('a', out_type=str)
    except (RuntimeError, OSError, ValueError) as error:  # E.g. not UTF-8.
      raise errors.InputError(
          f'{path!r} is not a readable SentencePiece model: {_reason(error)}'
      ) from None
    self._model = model
    self.bos_id = self._control('BOS', self._processor.bos_id(), bos, path)
    self.eos_id = self._control('EOS', self._processor.eos_id(), eos, path)
    # A loaded model may put a space before all text; `decode` removes it.
    self._prefixes_space = bool(probe) and probe[0].startswith(_SPACE)
    self.word_prefix = '' if self._prefixes_space else ' '
    ids = [self._processor.piece_to_id(f'<0x{byte:02X}>')
           for byte in _SPACE.encode()]
    is_lossless = self._processor.is_byte(ids[0]) and not self._prefixes_space
    self._space_ids = ids if is_lossless else None
    self._parts_lines = is_lossless and self._is_apart('\n')

  def _is_apart(self, mark: str) -> bool:
    """Returns whether a text can be encoded in pieces that end with `mark`."""
    probe = f'a {mark}{mark}  b'
    raw = mark.encode()
    return ({each for each in self._bytes if raw in each} == {raw}
            and b''.join(self._bytes[i] for i in self._processor.encode(probe))
            == probe.encode())

  @property
  def name(self) -> str:
    return 'SentencePiece'

  @staticmethod
  def _control(what: str, token: int, wanted: bool, path: str) -> int | None:
    if wanted and token < 0:
      raise errors.InputError(
          f'The SentencePiece model {path!r} has no {what}; set '
          f'{what.lower()}=False.')
    return token if wanted else None

  def piece(self, token: int) -> str:
    """Returns the piece of an id, as the model file has it."""
    return self._processor.id_to_piece(int(token))

  def _piece_bytes(self, token: int) -> bytes:
    piece = self._processor.id_to_piece(token)
    if self._processor.is_control(token):
      return b''
    if self._processor.is_unknown(token):
      return '\ufffd'.encode()
    if self._processor.is_byte(token):
      return bytes([int(piece[3:5], 16)])
    return piece.replace(_SPACE, ' ').encode()

  def encode(self, text: str) -> np.ndarray:
    return np.concatenate([np.array([], self.dtype), *self.encode_parts(text)])

  def encode_parts(self, text):
    documents_lib.check(text)  # Has a clearer message than the library.
    if not self._is_long(text):
      yield self._joined(self._rows([text]))
      return
    for piece in facts.cut(text, '\n'.__eq__):
      yield self._joined(self._rows(_LINES.findall(piece)))

  def encode_all(self, texts):
    for text in texts:
      documents_lib.check(text)
    rows = self._rows(
        ['' if self._is_long(text) else text for text in texts])
    for i, text in enumerate(texts):
      if self._is_long(text):
        rows[i] = self.encode(text).tolist()
    lengths = np.array([len(row) for row in rows], np.int64)
    return self._joined(rows), lengths

  def _is_long(self, text: str) -> bool:
    """Returns whether a text is encoded line by line.

    The library sums the scores of a text as float32. In a long text they become
    so large that rounding decides between segmentations.
    """
    return self._parts_lines and len(text) > _LONG

  def _rows(self, texts: list[str]) -> list[list[int]]:
    # Starting threads takes longer than to encode a short text.
    rows = ([self._processor.encode(texts[0])] if len(texts) == 1 else
            self._processor.encode(texts, num_threads=os.cpu_count()))
    if self._space_ids is not None:
      for i, text in enumerate(texts):
        if _SPACE in text:
          rows[i] = self._with_spaces(text)
    return rows

  def _joined(self, rows: list[list[int]]) -> np.ndarray:
    return np.fromiter(itertools.chain.from_iterable(rows), self.dtype,
                       count=sum(map(len, rows)))

  def _with_spaces(self, text: str) -> list[int]:
    """Returns the ids of a text that contains `_SPACE`.

    A piece with this character would decode as a space, so we encode it as its
    bytes.
    """
    ids = []
    for i, part in enumerate(text.split(_SPACE)):
      ids += self._space_ids if i else []
      ids += self._processor.encode(part)
    return ids

  def decode(self, ids: Iterable[int]) -> str:
    table = self._bytes
    raw = b''.join([table[i] for i in self.check(ids).tolist()])
    if self._prefixes_space and raw.startswith(b' '):
      raw = raw[1:]
    return raw.decode('utf-8', errors='replace')

  def token_bytes(self, token: int) -> bytes:
    return self._bytes[int(self.check([token])[0])]

  def state(self) -> dict[str, Any]:
    return {'kind': 'SentencePiece', 'bos': self.bos_id is not None,
            'eos': self.eos_id is not None}

  def files(self) -> dict[str, bytes]:
    return {_FILE: self._model}

  @classmethod
  def restore(cls, state, directory) -> 'SubwordTokenizer':
    path = safe_paths.safe_join(directory, _FILE)
    try:
      model = path.read_bytes()
    except OSError as error:
      raise errors.InputError(
          f'Tokenizer model {str(path)!r} cannot be read: {error.strerror}.'
      ) from None
    return cls(model, state['bos'], state['eos'], str(path))


def _reason(error: Exception) -> str:
  """Returns the last sentence of a SentencePiece error, without C++ source."""
  text = (str(error).strip().splitlines() or ['it gives no reason'])[-1]
  text = text.rpartition('] ')[2].partition(' or decrease character_cov')[0]
  return text.strip().removesuffix('.') + '.'
