"""What the tokens of a tokenizer.json stand for: the bytes of each."""
from collections.abc import Callable, Iterator, Mapping
import functools
import re
from typing import Any

_BYTE = re.compile('<0x[0-9A-F]{2}>')
_EXACT = {'Sequence', 'Prepend', 'Replace', 'ByteLevel'}  # They lose nothing.


def speller(spec: Mapping[str, Any]) -> Callable[[str], bytes]:
  """Returns the function from a token to the UTF-8 bytes it adds to a text.

  A token of WordPiece that begins a word has a space before it, and one of
  SentencePiece too.

  Args:
    spec: The value of a tokenizer.json.
  """
  model = spec['model']
  parts = [*_parts(spec.get('pre_tokenizer')), *_parts(spec.get('decoder'))]
  kinds = {part.get('type') for part in parts}
  spaces = [space for part in parts if (space := _space(part))]
  written = {token['content'] for token in spec['added_tokens']}
  has_bytes = model.get('byte_fallback') or 'ByteFallback' in kinds
  suffix = model.get('end_of_word_suffix')
  prefix = None
  if model['type'] == 'WordPiece':
    prefix = model.get('continuing_subword_prefix', '##')

  def spelled(token: str) -> bytes:
    if token in written:
      return token.encode()
    if has_bytes and _BYTE.fullmatch(token):
      return bytes([int(token[3:5], 16)])
    if 'ByteLevel' in kinds:
      return b''.join(_bytes().get(each) or each.encode() for each in token)
    for space in spaces:
      token = token.replace(space, ' ')
    if prefix is not None:
      return (token.removeprefix(prefix) if token.startswith(prefix)
              else ' ' + token).encode()
    if suffix and token.endswith(suffix):
      token = token.removesuffix(suffix) + ' '
    return token.encode()
  return spelled


def losses(spec: Mapping[str, Any]) -> list[str]:
  """Returns the names of the parts that do not keep every text exactly."""
  kinds = [part.get('type') for part in _parts(spec.get('normalizer'))]
  if spec['model']['type'] in ('WordPiece', 'WordLevel'):
    kinds.append(spec['model']['type'])
  return [kind for kind in kinds if kind not in _EXACT]


def byte_letters() -> dict[int, str]:
  """Returns the letter that byte-level BPE writes for each byte.

  A byte that is a visible character of Latin-1 stands for itself; the others
  take the characters from U+0100 on, in order.

  References:
    Radford et al., Language Models are Unsupervised Multitask Learners, 2019,
    and its published encoder.

  Example:
    >>> letters = byte_letters()
    >>> letters[ord('a')], letters[ord(' ')], letters[ord('\\n')]
    ('a', 'Ġ', 'Ċ')
  """
  visible = {*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)}
  hidden = [byte for byte in range(256) if byte not in visible]
  return {byte: chr(byte) for byte in visible} | {
      byte: chr(0x100 + i) for i, byte in enumerate(hidden)}


@functools.cache
def _bytes() -> dict[str, bytes]:
  return {letter: bytes([byte]) for byte, letter in byte_letters().items()}


def _parts(part: Any) -> Iterator[Mapping[str, Any]]:
  """Yields a part of a tokenizer.json, or the parts of a sequence of them."""
  if not isinstance(part, dict):
    return
  yield part
  for name in ('normalizers', 'pretokenizers', 'decoders'):
    for each in part.get(name) or ():
      yield from _parts(each)


def _space(part: Mapping[str, Any]) -> str | None:
  """Returns the character that a part writes for a space, or None."""
  if part.get('type') == 'Metaspace':
    return part.get('replacement')
  if part.get('type') == 'Replace' and part.get('content') == ' ':
    return part['pattern'].get('String')
  return None
