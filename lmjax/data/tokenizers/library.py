"""Tokenizers of Hugging Face's `tokenizers` library, as in a tokenizer.json."""
from collections.abc import Iterable, Mapping, Sequence
import copy
import json
import re
import secrets
import types
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core.files import safe_paths
from lmjax.data import documents as documents_lib
from lmjax.data import facts
from lmjax.data.tokenizers import frames
from lmjax.data.tokenizers import offsets
from lmjax.data.tokenizers import roles as roles_lib
from lmjax.data.tokenizers import specs
from lmjax.data.tokenizers import spelling
from lmjax.data.tokenizers import vocabulary

FILE = 'huggingface.json'
# Where a word of byte-level BPE begins, whatever is around.
BETWEEN_WORDS = re.compile(r'(?<=\S) (?=\S)')


class LibraryTokenizer(vocabulary.Tokenizer):
  """A tokenizer of the `tokenizers` library, with the frame of its checkpoint.

  Text is never encoded to special tokens: `encode('</s>')` gives the ids of
  four characters. `encode_with_specials` gives the id of `</s>`, as the
  checkpoint's own tokenizer does.

  Args:
    spec: The value of a tokenizer.json, as `specs.parsed` returns it.
    roles: The token of each role; see `roles`. Tokens that the vocabulary lacks
      are added to it.
    bos: Whether documents begin with BOS; None if as `spec` says.
    eos: Whether documents end with EOS; None if as `spec` says.
    path: The name of the tokenizer in messages.
    start: The id that a decoder reads before its text, or None.

  Raises:
    InputError: If the spec is not that of a usable tokenizer, `bos` or `eos`
      ask for a token that it lacks, or `start` is none of its ids.
  """
  name = 'pretrained'
  pair_prefix = ''

  def __init__(self, spec: Mapping[str, Any], roles: Mapping[str, str],
               bos: bool | None = None, eos: bool | None = None,
               path: str = 'tokenizer.json', start: int | None = None):
    self.roles, self._path = dict(roles), path
    with specs.refusing(f'{path!r} is not a usable tokenizer'):
      self.spec = specs.ordered(spec)
      self._tokens = specs.completed(self.spec, roles)
      self._frame(self._tokens, bos, eos)
      self._set_specials(self._tokens)
      self._full = specs.built(self.spec)
      for i, token in enumerate(self._tokens):
        if self._full.id_to_token(i) != token:
          raise ValueError(f'token {token!r} cannot have id {i}')
      self._plain = specs.built(self._without_specials())
      self._spell = spelling.speller(self.spec)
    self._parts_words = _parts_words(self.spec)
    self._control = frozenset(self.control_ids)
    self.start_id = self._checked_start(start)
    alone, within = self.encode('a'), self.encode(' a')
    begins = len(alone) and self.token_bytes(alone[0]).startswith(b' ')
    self.word_prefix = '' if begins or np.array_equal(alone, within) else ' '

  @property
  def first_id(self) -> int | None:
    """The checkpoint's BOS, even if no document begins with it, or else EOS."""
    bos = self.roles.get('bos')
    return super().first_id if bos is None else self._tokens.index(bos)

  def started(self, start: int | None) -> 'LibraryTokenizer':
    """Returns the tokenizer with another `start_id`.

    Raises:
      InputError: If it is none of the tokenizer's ids.
    """
    found = copy.copy(self)
    found.start_id = self._checked_start(start)
    return found

  def _checked_start(self, start: int | None) -> int | None:
    if start is not None and not (
        type(start) is int and 0 <= start < self.vocab_size):
      raise errors.InputError(
          f'The id that a decoder starts from should be one of {self._path!r}, '
          f'0 to {self.vocab_size - 1}; got {start!r:.60}.')
    return start

  def _frame(self, tokens: Sequence[str], bos: bool | None, eos: bool | None
             ) -> None:
    """Sets the frames of texts and pairs, and the ids of BOS and EOS."""
    ids = {token: i for i, token in enumerate(tokens)}
    own = specs.frame_of(self.spec, 1)
    first = own.before[0] if own.before else ids.get(self.roles.get('bos'))
    self.eos_id = ids.get(self.roles.get('eos'), (own.after or (None,))[-1])
    wanted = [bool(own.before) if bos is None else bos,
              bool(own.after) if eos is None else eos]
    if wanted != [bool(own.before), bool(own.after)]:
      for what, id, asked in zip(('bos', 'eos'), (first, self.eos_id), wanted):
        if asked and id is None:
          raise ValueError(f'it has no {what.upper()}; set {what}=False')
      ends = [id if asked else None
              for id, asked in zip((first, self.eos_id), wanted)]
      self.spec['post_processor'] = specs.template(
          frames.Frame.of(ends[:1], [], ends[1:], texts=1),
          frames.Frame.of(ends[:1], ends[1:], ends[1:], texts=2), tokens)
    self._frames = [specs.frame_of(self.spec, texts) for texts in (1, 2)]
    used = {i for frame in self._frames for some in frame.ids for i in some}
    if wrong := [i for i in used if not 0 <= i < len(tokens)]:
      raise ValueError(f'its frame has id {wrong[0]}, outside the vocabulary')
    before = self._frames[0].before
    self.bos_id = before[0] if before else None
    if self.bos_id is not None and self.bos_id in self._frames[0].after:
      raise ValueError('its BOS and EOS are one token; set bos=False')
    self._own = set(used)

  def _set_specials(self, tokens: Sequence[str]) -> None:
    """Sets the ids that no text becomes, by name and by role."""
    self.vocab_size = len(tokens)
    ids = {token: i for i, token in enumerate(tokens)}
    roles = {role: token for role, token in self.roles.items() if role != 'unk'}
    unknown = {specs.unknown(self.spec['model'])} - set(roles.values())
    named = [token['content'] for token in self.spec['added_tokens']
             if token['special']] + list(roles.values())
    named += [tokens[i] for i in sorted(self._own)]
    self.specials = {
        roles_lib.NAMES[role]: ids[roles[role]]
        for role in roles_lib.NAMES if role in roles}
    self.specials |= {token: ids[token] for token in named
                      if token not in unknown}
    sentinels = []
    while (name := f'<extra_id_{len(sentinels)}>') in self.specials:
      sentinels.append(self.specials[name])
    self.sentinel_ids = tuple(sentinels)

  def _without_specials(self) -> dict[str, Any]:
    """Returns the spec with special tokens under names that no text can have.

    They are drawn at random for that reason. Not even a model that takes any
    piece of its vocabulary from a text, as Unigram does, then gives these ids.
    """
    spec = self.spec | {'post_processor': None}
    hidden = {self._tokens[i] for i in self.control_ids}
    hidden |= {specs.unknown(spec['model'])} - {None}
    names = {token: secrets.token_hex(16) for token in hidden}
    named = lambda token: names.get(token, token)
    model = dict(spec['model'])
    if isinstance(model['vocab'], dict):
      model['vocab'] = {named(token): i for token, i in model['vocab'].items()}
    else:
      model['vocab'] = [[named(token), score]
                        for token, score in model['vocab']]
    if 'merges' in model:
      model['merges'] = specs.merges_without(model['merges'], hidden)
    if model.get('unk_token') is not None:
      model['unk_token'] = named(model['unk_token'])
    added = [token | {'content': named(token['content'])}
             for token in spec['added_tokens']]
    return spec | {'model': model, 'added_tokens': added}

  def frame(self, texts=1):
    return self._frames[texts - 1]

  def encode(self, text: str) -> np.ndarray:
    return np.concatenate(list(self.encode_parts(text)))

  def spans(self, text):
    documents_lib.check(text)
    with specs.refusing(f'{self._path!r} cannot encode {text[:40]!r}'):
      found = self._plain.encode(text, add_special_tokens=False).offsets
    return offsets.trimmed(text, found)

  def encode_parts(self, text):
    pieces = facts.cut_before(
        text, BETWEEN_WORDS) if self._parts_words else [text]
    return (self.encode_all([piece])[0] for piece in pieces)

  @property
  def special_names(self):
    return tuple(self._tokens[i] for i in self.control_ids)

  def encode_with_specials(self, text, plain=types.MappingProxyType({})):
    if any(mark in text for mark in plain):
      return super().encode_with_specials(text, plain)
    return self._joined([text], self._rows_with_specials)[0]

  def encode_all(self, texts):
    return self._joined(texts, self._rows)

  def _joined(self, texts, rows_of):
    """Returns the joined ids of texts and the number of each."""
    for text in texts:
      documents_lib.check(text)
    with specs.refusing(f'{self._path!r} cannot encode {texts[0][:40]!r}'
                  if len(texts) == 1 else f'{self._path!r} cannot encode'):
      rows = rows_of(texts)
    lengths = np.array([len(row) for row in rows], np.int64)
    return np.concatenate([np.array([], self.dtype), *(
        np.array(row, self.dtype) for row in rows)]), lengths

  def _rows(self, texts: Sequence[str]) -> list[Sequence[int]]:
    """Returns the ids of each text, in which no text is special."""
    return [row.ids for row in self._plain.encode_batch_fast(
        list(texts), add_special_tokens=False)]

  def _rows_with_specials(self, texts: Sequence[str]) -> list[Sequence[int]]:
    return [row.ids for row in self._full.encode_batch_fast(
        list(texts), add_special_tokens=False)]

  def decode(self, ids: Iterable[int]) -> str:
    ids = self.check(ids)
    ids = ids[~np.isin(ids, self.control_ids)]
    with specs.refusing(f'{self._path!r} cannot decode'):
      return self._full.decode(ids.tolist(), skip_special_tokens=False)

  def token_bytes(self, token: int) -> bytes:
    token = int(self.check([token])[0])
    return b'' if token in self._control else self._spell(self._tokens[token])

  def describe(self) -> str:
    losses = spelling.losses(self.spec)
    return super().describe() + (
        f'; text is not kept exactly ({", ".join(losses)})' if losses else '')

  def state(self) -> dict[str, Any]:
    frame = self.frame()
    start = {} if self.start_id is None else {'start': self.start_id}
    return {'kind': 'PretrainedTokenizer', 'bos': bool(frame.before),
            'eos': bool(frame.after), 'roles': self.roles, **start}

  def files(self) -> dict[str, bytes]:
    return {FILE: json.dumps(  # Sorted, so that a restored one has the digest.
        self.spec, ensure_ascii=False, separators=(',', ':'), sort_keys=True
    ).encode()}

  @classmethod
  def restore(cls, state, directory) -> 'LibraryTokenizer':
    path = safe_paths.safe_join(directory, FILE)
    spec = specs.parsed(specs.read_bytes(path), str(path))
    return cls(spec, roles_lib.checked(state['roles']), state['bos'],
               state['eos'], str(path), state.get('start'))


def _parts_words(spec: Mapping[str, Any]) -> bool:
  """Returns whether words are encoded apart, so that a text may be cut there.

  It is so for the words of GPT-2, unless an added token goes over a space.
  """
  split = spec['pre_tokenizer'] or {}
  return (split.get('type') == 'ByteLevel' and split.get('use_regex', True)
          and not split['add_prefix_space'] and spec['normalizer'] is None
          and not any(BETWEEN_WORDS.search(token['content'])
                      or token['lstrip'] or token['rstrip']
                      for token in spec['added_tokens']))
