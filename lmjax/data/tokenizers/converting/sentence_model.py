"""Model files of SentencePiece, with the ids and frames of several families.

The frame is not in the file. It is known by the pieces: ALBERT's have [CLS],
XLNet's <cls>; T5's have no BOS; models of fairseq (XLM-RoBERTa) number their
pieces in another way, and name the file sentencepiece.bpe.model. Others begin a
text with BOS, as Llama's.
"""
import base64
from collections.abc import Iterator, Mapping
import dataclasses
import re
import struct
from typing import Any

from lmjax.data.tokenizers import frames
from lmjax.data.tokenizers import roles as roles_lib
from lmjax.data.tokenizers import specs
from lmjax.data.tokenizers.converting import parts
from lmjax.data.tokenizers.converting import scored

FAIRSEQ = 'sentencepiece.bpe.model'
_SENTINELS = 100  # Of T5: <extra_id_0> has the last id.
_LANGUAGE = re.compile('>>.+<<')
_ALGORITHMS = {1: 'unigram', 2: 'bpe'}


def pieces(model: bytes) -> tuple[scored.Pieces, dict[str, str]]:
  """Returns the pieces of a model file, and the token of each role.

  Raises:
    ValueError: If the bytes are not those of a model file, or it is of words or
      characters.
  """
  names, scores, types, trainer, normalizer = [], [], [], {}, {}
  for number, value in _fields(model):
    if number == 1:
      piece = dict(_fields(value))
      names.append(piece.get(1, b'').decode('utf-8'))
      scores.append(struct.unpack('<f', piece[2])[0] if 2 in piece else 0.0)
      types.append(piece.get(3, scored.Type.NORMAL))
    elif number in (2, 3):
      (trainer if number == 2 else normalizer).update(_fields(value))
  kind = trainer.get(3, 1)
  if kind not in _ALGORITHMS:
    raise ValueError('it should be a unigram or bpe model')
  charsmap = normalizer.get(2, b'')
  found = scored.Pieces(
      names, scores, types, _ALGORITHMS[kind],
      prefix=bool(normalizer.get(3, 1)), squeezed=bool(normalizer.get(4, 1)),
      charsmap=base64.b64encode(charsmap).decode() if charsmap else None)
  ids = {'unk': trainer.get(40, 0), 'bos': trainer.get(41, 1),
         'eos': trainer.get(42, 2), 'pad': trainer.get(43, _signed(-1))}
  return found, roles_lib.usual(found.of_type(scored.Type.CONTROL)) | {
      role: names[i] for role, i in ids.items() if i < len(names)}


def of_model(model: bytes, name: str = '', sentinels: int | None = None
             ) -> tuple[dict[str, Any], dict[str, str]]:
  """Returns the tokenizer of a model file.

  Args:
    model: The contents of the file.
    name: Its name, which tells models of fairseq from others.
    sentinels: Number of sentinels that follow the pieces of a T5; None for the
      usual 100.

  Returns:
    The value of a tokenizer.json, and the token of each role.
  """
  found, roles = pieces(model)
  if name == FAIRSEQ:
    return _fairseq(found)
  spec = found.spec()
  ids = {name: i for i, name in enumerate(found.names)}
  begin, end = ([roles[role]] if role in roles else []
                for role in ('bos', 'eos'))
  sep, cls = ([roles[role]] if role in roles else [] for role in ('sep', 'cls'))
  if cls == ['<cls>']:
    types = ((), (0,), (1, 2)), (0, 1)
    both = frames.Frame((), (ids['<sep>'],), (ids['<sep>'], ids['<cls>']),
                        *types)
    one = frames.Frame((), (), both.after, ((), (), (0, 2)), (0, 0))
    spec['post_processor'] = specs.template(one, both, found.names)
  elif cls:
    spec['post_processor'] = parts.frame(ids, cls, sep, sep)
  elif not begin:
    spec['post_processor'] = parts.frame(ids, [], end, end, typed=False)
    first = len(ids) + (_SENTINELS if sentinels is None else sentinels) - 1
    spec['added_tokens'] += [
        parts.added(f'<extra_id_{first - i}>', i)
        for i in range(len(ids), first + 1)]
  else:
    spec['post_processor'] = parts.frame(ids, begin, begin, [])
  return spec, roles


def _fairseq(found: scored.Pieces) -> tuple[dict[str, Any], dict[str, str]]:
  """Returns a tokenizer of fairseq: <s> <pad> </s> <unk> pieces <mask>."""
  kinds = [scored.Type.CONTROL] * 3 + [scored.Type.UNKNOWN]
  first = ['<s>', '<pad>', '</s>', '<unk>']
  placed = scored.Pieces(
      [*first, *found.names[3:], '<mask>'],
      [0.0] * 4 + [*found.scores[3:], 0.0],
      kinds + [*found.types[3:], scored.Type.CONTROL], found.algorithm,
      found.prefix, found.squeezed, found.charsmap)
  ids = {name: i for i, name in enumerate(placed.names)}
  spec = placed.spec(parts.frame(
      ids, ['<s>'], ['</s>', '</s>'], ['</s>'], typed=False))
  for token in spec['added_tokens']:
    token['lstrip'] = token['content'] == '<mask>'
  return spec, roles_lib.usual(first + ['<mask>'])


def of_marian(model: bytes, vocab: Mapping[str, int]
              ) -> tuple[dict[str, Any], dict[str, str]]:
  """Returns the tokenizer of Marian's sources, whose frame is A </s>.

  Args:
    model: The contents of source.spm, whose pieces encode a text.
    vocab: The id of each piece of sources and targets, from vocab.json. A piece
      without one is unknown; >>fra<< and the like name a language.

  Returns:
    The value of a tokenizer.json, and the token of each role.

  Raises:
    ValueError: If the vocabulary lacks <unk> or </s>, or ids are missing.
  """
  if missing := {'<unk>', '</s>'} - vocab.keys():
    raise ValueError(f'its vocab.json should have {min(missing)}')
  names = sorted(vocab, key=vocab.__getitem__)
  found, _ = pieces(model)
  known = dict(zip(found.names, found.scores))
  lowest = min(found.scores)
  kinds = {'<unk>': scored.Type.UNKNOWN, '</s>': scored.Type.CONTROL,
           '<pad>': scored.Type.CONTROL}
  placed = dataclasses.replace(
      found, names=names, scores=[known.get(name, lowest) for name in names],
      types=[scored.Type.USER_DEFINED if _LANGUAGE.fullmatch(name) else
             kinds.get(name, scored.Type.NORMAL) for name in names])
  return placed.spec(parts.frame(vocab, [], [], ['</s>'], typed=False)), (
      roles_lib.usual(names))


def is_model(content: bytes) -> bool:
  """Returns whether a file is that of a model: its first field is a piece."""
  try:
    number, piece = next(_fields(content))
    return number == 1 and isinstance(dict(_fields(piece)).get(1), bytes)
  except (ValueError, StopIteration, TypeError):
    return False


def _signed(number: int) -> int:
  return number % (1 << 64)  # As a varint holds it.


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
  """Yields (number, value) of the fields of a Protocol Buffers message.

  A value is an int or bytes.

  References:
    Protocol Buffers, Encoding.
  """
  place, end = 0, len(message)
  while place < end:
    key, place = _varint(message, place)
    number, wire = key >> 3, key & 7
    if wire == 0:
      value, place = _varint(message, place)
    else:
      size = {1: 8, 5: 4}.get(wire)
      if wire == 2:
        size, place = _varint(message, place)
      if size is None or place + size > end:
        raise ValueError('it is cut or not a SentencePiece model')
      value, place = message[place:place + size], place + size
    yield number, value


def _varint(message: bytes, place: int) -> tuple[int, int]:
  """Returns the number that begins at a place, and the place after it."""
  value = 0
  for shift in range(0, 70, 7):
    if place >= len(message):
      break
    byte = message[place]
    place += 1
    value |= (byte & 127) << shift
    if byte < 128:
      return value, place
  raise ValueError('it is cut or not a SentencePiece model')
