"""Hides passwords and keys in everything that a run writes.

Flags, environment variables and addresses that start a run may contain secrets,
and the files that the run writes are often copied or published. All these files
are therefore written with secrets replaced by '[redacted]'. The config that a
saved run is compared with is redacted too, so that two secrets compare equal.
"""
from collections.abc import Mapping, Sequence
import functools
import os
import re
from typing import Any

HIDDEN = '[redacted]'
_LEAST = 8  # Shorter values of variables are not searched for in texts.

_SECRET = r'secrets?|passw\w*|passphrase|api_?keys?|apikeys?|authorization'
_WORDS = re.compile(
    rf'(?:^|_)(?:{_SECRET}|(?:access|private|secret)_?keys?|credentials?)'
    r'(?:_|$)|secret|passw|api_?key|authorization')
_TOKEN = re.compile(r'(?:^|_)tokens?(?:_|$)')
# Names with `token` that are about text, not about access.
_ALLOWED = re.compile(
    r'(?:^|_)(?:(?:bos|eos|pad|unk|mask|cls|sep|special|stop|memory|max|num|new'
    r'|eval|per|of|document|text|train|valid|test|input|output|prompt)_tokens?'
    r'|tokens_(?:per|a|in|seen|of)|tokens?_(?:ids?|bytes|types?|count|size))'
    r'(?:_|$)|^tokens$')
_FLAG = re.compile(r'-{0,2}[\w.-]+')
_NUMBER = re.compile(r'[\d.,_eE+-]+')
_CAMEL = re.compile(r'(?<=[a-z0-9])(?=[A-Z])')

_USER_INFO = re.compile(r'\b([A-Za-z][A-Za-z0-9+.-]*:/+)[^/\s@\'"<>?#]*@')
_QUERY = re.compile(r'([?&;])([\w.%-]+)=([^&;\s#\'"<>]*)')
_SIGNED = re.compile(r'(?:x[-_](?:amz|goog|ms|oss)[-_]\w|sig$|signature|sas$|'
                     r'awsaccesskeyid|googleaccessid|key$|code$|auth$|jwt$)')
_KNOWN = re.compile(  # The prefixes of some services' keys.
    r'\b(?:hf_[A-Za-z0-9_]{6,}|gh[pousr]_[A-Za-z0-9]{20,}'
    r'|github_pat_\w{20,}|sk-[A-Za-z0-9_-]{20,}|xox[abpr]-[A-Za-z0-9-]{10,}'
    r'|AKIA[0-9A-Z]{16}|AIza[\w-]{30,})')
_PAIR = re.compile(
    rf'(?i)\b((?:[\w-]*[-_])?(?:{_SECRET})[\'"]?\s*[:=]\s*[\'"]?)'
    r'(?:(?:bearer|basic)\s+)?[^\s\'",;&]+')
_QUOTED = re.compile(  # Within JSON or a repr.
    r'(?i)((["\'])[\w-]*token\2\s*:\s*(["\'])).+?(?=\3)')
_BEARER = re.compile(r'(?i)\b(bearer\s+)[\w.~+/=-]{8,}')


def is_secret(name: str, value: Any = '') -> bool:
  """Returns whether a value with this name is a secret.

  Args:
    name: The name of a field, flag, variable or parameter, in any spelling.
    value: Its value; a number can be a password but not a token.

  Example:
    >>> is_secret('HF_TOKEN'), is_secret('eval_tokens'), is_secret('tokenizer')
    (True, False, False)
  """
  kind = _kind(str(name))
  return kind == 'secret' or (kind == 'token' and not (
      str(value) and _NUMBER.fullmatch(str(value))))


def redact(value: Any) -> Any:
  """Returns JSON types with secrets replaced by '[redacted]'.

  Texts and numbers under the name of a secret are replaced as a whole. In all
  other texts, including keys, the parts that `text` recognizes are replaced.

  Example:
    >>> redact({'api_key': 'x', 'path': 'https://me:pw@host/a', 'tokens': 5})
    {'api_key': '[redacted]', 'path': 'https://[redacted]@host/a', 'tokens': 5}
  """
  if isinstance(value, Mapping):
    return {text(key) if isinstance(key, str) else key:
            _hidden(each) if _is_secret_field(key, each) else redact(each)
            for key, each in value.items()}
  if isinstance(value, (list, tuple)):
    return [redact(each) for each in value]
  return text(value) if isinstance(value, str) else value


def text(value: str) -> str:
  """Returns a text with secrets replaced by '[redacted]'.

  Secrets are the values of environment variables with the name of a secret, the
  user and password in an address, its signature parameters, keys with the
  prefix of a known service, and values after `password=` and similar names.
  """
  for secret in _environment():
    value = value.replace(secret, HIDDEN)
  if '@' in value:
    value = _USER_INFO.sub(rf'\1{HIDDEN}@', value)
  if '=' in value:
    value = _QUERY.sub(_parameter, value)
  value = _QUOTED.sub(rf'\1{HIDDEN}', value)
  value = _PAIR.sub(rf'\1{HIDDEN}', value)
  return _KNOWN.sub(HIDDEN, _BEARER.sub(rf'\1{HIDDEN}', value))


def command(argv: Sequence[str]) -> list[str]:
  """Returns a command line with the values of secret flags hidden.

  Example:
    >>> command(['train', '--hf_token=abc', '--password', 'x', '--steps=3'])
    ['train', '--hf_token=[redacted]', '--password', '[redacted]', '--steps=3']
  """
  out, follows = [], False
  for word in argv:
    flag, equals, value = word.partition('=')
    is_flag = flag.startswith('-')
    if follows and not is_flag:
      out.append(HIDDEN)
    elif equals and _is_secret_flag(flag, value):
      out.append(f'{flag}={HIDDEN}')
    else:
      out.append(text(word))
    follows = is_flag and not equals and _is_secret_flag(flag)
  return out


def _is_secret_field(name: Any, value: Any) -> bool:
  """Returns whether a key is the name of a secret, not a path or a sentence."""
  return bool(_FLAG.fullmatch(str(name))) and is_secret(name, value)


def _is_secret_flag(flag: str, value: str = '') -> bool:
  return bool(_FLAG.fullmatch(flag)) and any(
      is_secret(part, value) for part in flag.lstrip('-').split('.'))


@functools.lru_cache(maxsize=4096)
def _kind(name: str) -> str | None:
  """Returns 'secret' or 'token' for a secret's or token's name, or None."""
  name = re.sub(r'[^a-z0-9]+', '_', _CAMEL.sub('_', name).lower())
  if _WORDS.search(name):
    return 'secret'
  is_token = _TOKEN.search(name) and not _ALLOWED.search(name)
  return 'token' if is_token else None


def _environment() -> list[str]:
  """Returns the secrets in the environment, the longest first."""
  return sorted({value for name, value in os.environ.items()
                 if len(value) >= _LEAST and is_secret(name, value)},
                key=len, reverse=True)


def _parameter(match: re.Match) -> str:
  before, name, value = match.groups()
  signs = _SIGNED.match(name.lower()) or is_secret(name, value)
  return f'{before}{name}={HIDDEN if signs and value else value}'


def _hidden(value: Any) -> Any:
  if isinstance(value, Mapping):
    return {key: _hidden(each) for key, each in value.items()}
  if isinstance(value, (list, tuple)):
    return [_hidden(each) for each in value]
  return value if value is None or isinstance(value, bool) or (
      value == '') else HIDDEN
