"""Vocabularies of pieces with scores, as those of SentencePiece."""
from collections.abc import Sequence
import dataclasses
import enum
import math
import struct
from typing import Any

from lmjax.data.tokenizers.converting import parts

SPACE = '\u2581'
_UNLIKELY = 1e4  # Nats below the least probable piece.
_LONGEST = 1 << 16  # Most bytes of a piece.


class Type(enum.IntEnum):
  """Types of pieces, by SentencePiece's and GGUF's numbers."""
  NORMAL = 1
  UNKNOWN = 2
  CONTROL = 3
  USER_DEFINED = 4
  UNUSED = 5
  BYTE = 6


@dataclasses.dataclass(frozen=True)
class Pieces:
  """A vocabulary, and how a text is prepared for it.

  Attributes:
    names: The pieces in the order of their ids.
    scores: The score of each.
    types: The `Type` of each.
    algorithm: 'bpe', where scores rank merges, or 'unigram', where they are log
      probabilities.
    prefix: Whether a space is put before a text.
    squeezed: Whether spaces at both ends of a text, and second spaces, are
      removed.
    charsmap: SentencePiece's compiled table of characters to normalise, in
      base64; None to keep them.
  """
  names: Sequence[str]
  scores: Sequence[float]
  types: Sequence[int]
  algorithm: str
  prefix: bool
  squeezed: bool = False
  charsmap: str | None = None

  def __post_init__(self):
    if not len(self.names) == len(self.scores) == len(self.types):
      raise ValueError(
          f'it has {len(self.names):,} pieces, {len(self.scores):,} scores and '
          f'{len(self.types):,} types, which should be as many')
    if not all(map(math.isfinite, self.scores)):
      raise ValueError('its scores should be finite numbers')
    if Type.UNKNOWN not in self.types:
      raise ValueError('it has no piece for unknown characters')

  def of_type(self, kind: Type) -> list[str]:
    """Returns the pieces of a type."""
    return [name for name, each in zip(self.names, self.types) if each == kind]

  def spec(self, post_processor: Any = None) -> dict[str, Any]:
    """Returns the value of a tokenizer.json."""
    model = self._unigram() if self.algorithm == 'unigram' else self._bpe()
    added = [
        parts.added(name, i, kind != Type.USER_DEFINED)
        for i, (name, kind) in enumerate(zip(self.names, self.types))
        if kind in (Type.UNKNOWN, Type.CONTROL, Type.USER_DEFINED)]
    replace = lambda pattern, content: {
        'type': 'Replace', 'pattern': pattern, 'content': content}
    normalizers = []
    if self.charsmap:
      normalizers.append(
          {'type': 'Precompiled', 'precompiled_charsmap': self.charsmap})
    if self.squeezed:
      normalizers += [replace({'Regex': f'^ +|[ {SPACE}]+$'}, ''),
                      replace({'Regex': ' {2,}'}, ' ')]
    if self.prefix:
      normalizers.append({'type': 'Prepend', 'prepend': SPACE})
    normalizers.append(replace({'String': ' '}, SPACE))
    decoders = [replace({'String': SPACE}, ' '), {'type': 'ByteFallback'},
                {'type': 'Fuse'}]
    if self.prefix:
      decoders.append(
          {'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0})
    return parts.spec(
        model, added, normalizer=parts.sequence('normalizers', normalizers),
        post_processor=post_processor,
        decoder=parts.sequence('decoders', decoders))

  def _unigram(self) -> dict[str, Any]:
    floor = min(self.scores) - _UNLIKELY
    unwritten = (Type.BYTE, Type.CONTROL, Type.UNKNOWN)
    return {  # The names of bytes and controls are not to be found in text.
        'type': 'Unigram', 'unk_id': list(self.types).index(Type.UNKNOWN),
        'byte_fallback': Type.BYTE in self.types, 'vocab': [
            [name, floor if kind in unwritten else score]
            for name, score, kind in zip(self.names, self.scores, self.types)]}

  def _bpe(self) -> dict[str, Any]:
    ids = {name: i for i, name in enumerate(self.names)}
    if len(ids) < len(self.names):
      raise ValueError('a piece occurs twice')
    merged = {Type.NORMAL, Type.USER_DEFINED, Type.UNUSED}
    merges = []
    for name, score, kind in zip(self.names, self.scores, self.types):
      for cut in range(1, len(name) if kind in merged else 0):
        first, second = ids.get(name[:cut]), ids.get(name[cut:])
        if first is not None and second is not None:
          merges.append((-score, first, second, name[:cut], name[cut:]))
    return {'type': 'BPE', 'dropout': None,
            'unk_token': self.of_type(Type.UNKNOWN)[0],
            'continuing_subword_prefix': None, 'end_of_word_suffix': None,
            'fuse_unk': True, 'byte_fallback': Type.BYTE in self.types,
            'ignore_merges': False, 'vocab': ids, 'merges': [
                [first, second] for *_, first, second in sorted(merges)]}


def of_llama2c(content: bytes) -> Pieces:
  """Returns the pieces of a tokenizer of llama2.c, such as tok512.bin.

  The file holds the length of the longest piece, and for each piece its score,
  its length and its bytes, in little endian. The first three pieces are those
  of unknown characters, BOS and EOS; 256 bytes follow.

  Raises:
    ValueError: If the file is cut or is another kind of file.
  """
  names, scores, place = [], [], 4
  if len(content) < 4 or not 0 < struct.unpack_from('<i', content)[0] <= (
      _LONGEST):
    raise ValueError('it should begin with the length of the longest piece')
  while place < len(content):
    if place + 8 > len(content):
      raise ValueError('it ends within a piece')
    score, size = struct.unpack_from('<fi', content, place)
    place += 8
    if not 0 <= size <= _LONGEST or place + size > len(content):
      raise ValueError(
          f'piece {len(names)} should have as many bytes as it says, {size}; '
          'the file is cut or damaged')
    names.append(content[place:place + size].decode('utf-8'))
    scores.append(score)
    place += size
  first = ['<unk>', '<s>', '</s>']
  if len(names) < 259 or [name.strip() for name in names[:3]] != first:
    raise ValueError(f'its first pieces should be {", ".join(first)}')
  names = first + [f'<0x{byte:02X}>' for byte in range(256)] + [
      name.replace(' ', SPACE) for name in names[259:]]
  types = [Type.UNKNOWN, Type.CONTROL, Type.CONTROL] + [Type.BYTE] * 256
  types += [Type.NORMAL] * (len(names) - len(types))
  return Pieces(names, scores, types, 'bpe', prefix=True)
