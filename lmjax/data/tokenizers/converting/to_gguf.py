"""The metadata of a GGUF file, from a tokenizer: the way back of `gguf`."""
from collections.abc import Mapping
from typing import Any

from lmjax.data.tokenizers import library
from lmjax.data.tokenizers import specs
from lmjax.data.tokenizers.converting import gguf
from lmjax.data.tokenizers.converting import scored

_PREFIX = 'tokenizer.ggml.'
_DIGIT = r'\p{N}'


def metadata(tokenizer: library.LibraryTokenizer,
             chat_template: str | None = None) -> dict[str, Any]:
  """Returns the values of a GGUF file that describe a tokenizer.

  Args:
    tokenizer: A tokenizer of a tokenizer.json: byte-level BPE or WordPiece.
    chat_template: The template of chats, or None.

  Raises:
    ValueError: If llama.cpp has no such tokenizer.
  """
  spec, kind = tokenizer.spec, tokenizer.spec['model']['type']
  names = specs.tokens_of(spec)
  if kind == 'BPE' and (patterns := _patterns(spec)) is not None:
    found = _byte_level(spec, patterns)
  elif kind == 'WordPiece':
    found = {'model': 'bert'}
    names = [_written(name) for name in names]
  else:
    raise ValueError(
        'llama.cpp gets byte-level BPE and WordPiece from lmjax, and this '
        f'tokenizer is {kind} of another kind')
  types = [int(scored.Type.NORMAL)] * len(names)
  for token in spec['added_tokens']:
    types[token['id']] = int(
        scored.Type.CONTROL if token['special'] else scored.Type.USER_DEFINED)
  ids = {token: i for i, token in enumerate(specs.tokens_of(spec))}
  found |= {f'{name}_token_id': ids[tokenizer.roles[role]]
            for role, name in gguf.ROLES.items() if role in tokenizer.roles}
  frame = tokenizer.frame()
  found |= {'tokens': names, 'token_type': types,
            'add_bos_token': bool(frame.before),
            'add_eos_token': bool(frame.after)}
  template = {} if chat_template is None else {
      'tokenizer.chat_template': chat_template}
  return {f'{_PREFIX}{key}': value for key, value in found.items()} | template


def _byte_level(spec: Mapping[str, Any], patterns: tuple[str, ...]
                ) -> dict[str, Any]:
  """Returns the values of byte-level BPE."""
  pre = next((name for name, known in gguf.PATTERNS.items()
              if known == patterns), None)
  if pre is None:
    raise ValueError(
        'llama.cpp splits text by fixed patterns, which it knows by names, and '
        f'there is no name for {patterns!r:.200}')
  merges = [merge if isinstance(merge, str) else ' '.join(merge)
            for merge in spec['model']['merges']]
  return {'model': 'gpt2', 'pre': pre, 'merges': merges}


def _patterns(spec: Mapping[str, Any]) -> tuple[str, ...] | None:
  """Returns the patterns that split a text, or None if it is not byte-level."""
  part = spec.get('pre_tokenizer') or {}
  found, byte_level = [], False
  for each in part.get('pretokenizers', [part]):
    if each.get('type') == 'ByteLevel' and not each.get('add_prefix_space'):
      byte_level = True
      if each.get('use_regex', True):
        found.append(gguf.GPT2)
    elif each.get('type') == 'Digits' and each.get('individual_digits'):
      found.append(_DIGIT)
    elif each.get('type') == 'Split' and 'Regex' in each['pattern'] and (
        each['behavior'] == 'Isolated' and not each['invert']):
      found.append(each['pattern']['Regex'])
    else:
      return None
  return tuple(found) if byte_level and not spec.get('normalizer') else None


def _written(piece: str) -> str:
  """Returns a piece of WordPiece as llama.cpp has it."""
  if piece[:1] == '[' and piece[-1:] == ']':
    return piece
  return (piece[2:] if piece.startswith('##') else f'{scored.SPACE}{piece}')
