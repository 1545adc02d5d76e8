"""Roles of special tokens: which of a checkpoint's tokens is its BOS or [MASK].

A role is named as in Hugging Face's files, without '_token': bos, eos, unk,
pad, cls, sep and mask.
"""
from collections.abc import Collection, Mapping
from typing import Any

ROLES = ('bos', 'eos', 'unk', 'pad', 'cls', 'sep', 'mask')
NAMES = {'cls': '[CLS]', 'sep': '[SEP]', 'mask': '[MASK]', 'pad': '[PAD]'}
_USUAL = {  # The names that published tokenizers give a role.
    'bos': ('<s>', '<bos>', '<|begin_of_text|>', '<|endoftext|>'),
    'eos': ('</s>', '<eos>', '<|end_of_text|>', '<|endoftext|>'),
    'unk': ('<unk>', '[UNK]'),
    'pad': ('[PAD]', '<pad>'),
    'cls': ('[CLS]', '<cls>'),
    'sep': ('[SEP]', '<sep>'),
    'mask': ('[MASK]', '<mask>'),
}


def declared(config: Mapping[str, Any], path: str) -> dict[str, str]:
  """Returns the token of each role that a tokenizer_config.json declares.

  Args:
    config: The contents of tokenizer_config.json or special_tokens_map.json.
    path: The name of the file in messages.

  Raises:
    ValueError: If a role is neither a text nor an object with a `content`.
  """
  found = {}
  for role in ROLES:
    value = config.get(f'{role}_token')
    if isinstance(value, dict):
      value = value.get('content')
    if value is None:
      continue
    if not isinstance(value, str) or not value:
      raise ValueError(
          f'{role}_token in {path} should be the text of a token')
    found[role] = value
  return found


def checked(roles: Any) -> dict[str, str]:
  """Returns the roles of a saved tokenizer; raises ValueError if they are none.
  """
  if not isinstance(roles, dict) or not roles.keys() <= set(ROLES) or not all(
      isinstance(token, str) for token in roles.values()):
    raise ValueError('roles should be names of tokens')
  return roles


def usual(tokens: Collection[str]) -> dict[str, str]:
  """Returns the roles of the tokens that have the usual names.

  Example:
    >>> usual(['<s>', '</s>', '<mask>', 'the'])
    {'bos': '<s>', 'eos': '</s>', 'mask': '<mask>'}
  """
  found = {}
  for role, names in _USUAL.items():
    for name in names:
      if name in tokens:
        found.setdefault(role, name)
  return found
