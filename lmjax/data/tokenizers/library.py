"""Tokenizers of Hugging Face's `tokenizers` library, as in a tokenizer.json."""
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
import contextlib
import json
import secrets
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core.files import safe_paths
from lmjax.core.files import strict_json
from lmjax.data import documents as documents_lib
from lmjax.data.tokenizers import frames
from lmjax.data.tokenizers import roles as roles_lib
from lmjax.data.tokenizers import spelling
from lmjax.data.tokenizers import vocabulary

FILE = 'huggingface.json'
MAX_BYTES = 64 << 20  # The largest published one, Gemma 3's, has 33 MB.
_MAX_IDS = 1 << 22
_MAX_GROWTH = 1 << 10  # Most characters that normalisers may write for one.


class LibraryTokenizer(vocabulary.Tokenizer):
  """A tokenizer of the `tokenizers` library, with the frame of its checkpoint.

  Text is never encoded to special tokens: `encode('</s>')` gives the ids of
  four characters. `encode_with_specials` gives the id of `</s>`, as the
  checkpoint's own tokenizer does.

  Args:
    spec: The value of a tokenizer.json, as `parsed` returns it.
    roles: The token of each role; see `roles`. Tokens that the vocabulary lacks
      are added to it.
    bos: Whether documents begin with BOS; None if as `spec` says.
    eos: Whether documents end with EOS; None if as `spec` says.
    path: The name of the tokenizer in messages.

  Raises:
    InputError: If the spec is not that of a usable tokenizer, or `bos` or `eos`
      ask for a token that it lacks.
  """
  name = 'pretrained'
  pair_prefix = ''

  def __init__(self, spec: Mapping[str, Any], roles: Mapping[str, str],
               bos: bool | None = None, eos: bool | None = None,
               path: str = 'tokenizer.json'):
    self.roles, self._path = dict(roles), path
    with refusing(f'{path!r} is not a usable tokenizer'):
      self.spec = _ordered(spec)
      self._tokens = _completed(self.spec, roles)
      self._frame(self._tokens, bos, eos)
      self._set_specials(self._tokens)
      self._full = built(self.spec)
      for i, token in enumerate(self._tokens):
        if self._full.id_to_token(i) != token:
          raise ValueError(f'token {token!r} cannot have id {i}')
      self._plain = built(self._without_specials())
      self._spell = spelling.speller(self.spec)
    self._control = frozenset(self.control_ids)
    alone, within = self.encode('a'), self.encode(' a')
    begins = len(alone) and self.token_bytes(alone[0]).startswith(b' ')
    self.word_prefix = '' if begins or np.array_equal(alone, within) else ' '

  def _frame(self, tokens: Sequence[str], bos: bool | None, eos: bool | None
             ) -> None:
    """Sets the frames of texts and pairs, and the ids of BOS and EOS."""
    ids = {token: i for i, token in enumerate(tokens)}
    own = _frame_of(self.spec, 1)
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
      self.spec['post_processor'] = template(
          frames.Frame.of(ends[:1], [], ends[1:], texts=1),
          frames.Frame.of(ends[:1], ends[1:], ends[1:], texts=2), tokens)
    self._frames = [_frame_of(self.spec, texts) for texts in (1, 2)]
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
    unknown = {_unknown(self.spec['model'])} - set(roles.values())
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
    hidden |= {_unknown(spec['model'])} - {None}
    names = {token: secrets.token_hex(16) for token in hidden}
    named = lambda token: names.get(token, token)
    model = dict(spec['model'])
    if isinstance(model['vocab'], dict):
      model['vocab'] = {named(token): i for token, i in model['vocab'].items()}
    else:
      model['vocab'] = [[named(token), score]
                        for token, score in model['vocab']]
    if 'merges' in model:
      model['merges'] = _merges_without(model['merges'], hidden)
    if model.get('unk_token') is not None:
      model['unk_token'] = named(model['unk_token'])
    added = [token | {'content': named(token['content'])}
             for token in spec['added_tokens']]
    return spec | {'model': model, 'added_tokens': added}

  def frame(self, texts=1):
    return self._frames[texts - 1]

  def encode(self, text: str) -> np.ndarray:
    return self.encode_all([text])[0]

  def encode_with_specials(self, text: str) -> np.ndarray:
    """Returns the ids of a text in which names of special tokens are theirs."""
    return self._joined([text], self._rows_with_specials)[0]

  def encode_all(self, texts):
    return self._joined(texts, self._rows)

  def _joined(self, texts, rows_of):
    """Returns the joined ids of texts and the number of each."""
    for text in texts:
      documents_lib.check(text)
    with refusing(f'{self._path!r} cannot encode {texts[0][:40]!r}'
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
    with refusing(f'{self._path!r} cannot decode'):
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
    return {'kind': 'PretrainedTokenizer', 'bos': bool(frame.before),
            'eos': bool(frame.after), 'roles': self.roles}

  def files(self) -> dict[str, bytes]:
    return {FILE: json.dumps(
        self.spec, ensure_ascii=False, separators=(',', ':')).encode()}

  @classmethod
  def restore(cls, state, directory) -> 'LibraryTokenizer':
    path = safe_paths.safe_join(directory, FILE)
    spec = parsed(read_bytes(path), str(path))
    return cls(spec, roles_lib.checked(state['roles']), state['bos'],
               state['eos'], str(path))


def read_bytes(path) -> bytes:
  """Returns the contents of a tokenizer's file, of at most `MAX_BYTES`."""
  try:
    with open(path, 'rb') as file:
      content = file.read(MAX_BYTES + 1)
  except OSError as error:
    raise errors.InputError(
        f'The tokenizer file {str(path)!r} cannot be read: {error.strerror}.'
    ) from None
  if len(content) > MAX_BYTES:
    raise errors.InputError(
        f'The tokenizer file {str(path)!r} should have at most {MAX_BYTES:,} '
        'bytes, and has more.')
  return content


@contextlib.contextmanager
def refusing(what: str) -> Iterator[None]:
  """Turns exceptions of the library, and those of a bad file, into InputError.

  Args:
    what: The sentence that the reason is added to.
  """
  try:
    yield
  except errors.InputError:
    raise
  except Exception as error:
    reason = str(error) if type(error) in (Exception, ValueError) else (
        f'it lacks {error}' if isinstance(error, KeyError) else
        f'{type(error).__name__}: {error}')
  except BaseException as error:  # A panic of the library, written in Rust.
    if type(error).__name__ != 'PanicException':
      raise
    reason = str(error)
  else:
    return
  reason = ' '.join(reason.split())[:300].removesuffix('.')
  raise errors.InputError(f'{what}: {reason}.')


def parsed(content: bytes, path: str = 'tokenizer.json') -> dict[str, Any]:
  """Returns the value of a tokenizer.json, without truncation and padding.

  Args:
    content: The contents of the file.
    path: Its name in messages.

  Raises:
    InputError: If it is not JSON, or not of a tokenizer.
  """
  with refusing(f'{path!r} is not a usable tokenizer'):
    spec = strict_json.loads(content.decode('utf-8'))
    if not isinstance(spec, dict) or not isinstance(
        spec.get('model'), dict) or 'vocab' not in spec['model']:
      raise ValueError('it should be an object with a model and its vocab')
    model = dict(spec['model'])
    if 'type' not in model:  # As in files of old.
      model['type'] = ('Unigram' if isinstance(model['vocab'], list) else
                       'BPE' if 'merges' in model else 'WordPiece')
    if (growth := _growth(spec)) > _MAX_GROWTH:
      raise ValueError(
          f'its normalizers should write at most {_MAX_GROWTH:,} characters '
          f'for one; they write {growth:,}')
    return _ordered(spec | {'model': model})


def _ordered(spec: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a spec with its fields in one order, to be written as one text."""
  added = [{'id': token['id'], 'content': token['content'], **{
      name: bool(token.get(name, False))
      for name in ('single_word', 'lstrip', 'rstrip')},
            'normalized': bool(token.get('normalized', not token['special'])),
            'special': bool(token['special'])}
           for token in spec.get('added_tokens') or ()]
  added.sort(key=lambda token: token['id'])
  return {'version': '1.0', 'truncation': None, 'padding': None,
          'added_tokens': added, **{name: spec.get(name) for name in (
              'normalizer', 'pre_tokenizer', 'post_processor', 'decoder')},
          'model': spec['model']}


def _growth(part: Any) -> int:
  """Returns a bound on the characters that a part may write for each it reads.
  """
  if isinstance(part, list):
    growth = 1
    for each in part:
      growth *= _growth(each)
    return growth
  if not isinstance(part, dict):
    return 1
  texts = [part.get(name) for name in ('content', 'prepend', 'replacement')]
  own = max([1, *(len(text) for text in texts if isinstance(text, str))])
  if 'pattern' not in part and 'prepend' not in part:
    own = 1
  return own * _growth([part.get(name) for name in (
      'normalizer', 'normalizers', 'decoder', 'decoders')])


def tokens_of(spec: Mapping[str, Any]) -> list[str]:
  """Returns the tokens of a tokenizer.json in the order of their ids.

  Raises:
    ValueError: If ids are not 0, 1, 2 and so on, or two tokens share one.
  """
  vocab = spec['model']['vocab']
  pairs = (vocab.items() if isinstance(vocab, dict) else
           [(piece, i) for i, (piece, _) in enumerate(vocab)])
  found = {}
  for token, i in (*pairs, *(
      (each['content'], each['id']) for each in spec['added_tokens'])):
    if type(i) is not int or not 0 <= i < _MAX_IDS or type(token) is not str:
      raise ValueError(f'the token {token!r} cannot have id {i!r}')
    if found.setdefault(i, token) != token:
      raise ValueError(
          f'the tokens {found[i]!r} and {token!r} have the same id {i}')
  if not found:
    raise ValueError('it has no tokens')
  for i in range(len(found)):
    if i not in found:
      raise ValueError(
          f'ids should be 0, 1, 2 and so on; id {i} has no token, and the '
          f'largest is {max(found)}')
  return [found[i] for i in range(len(found))]


def _unknown(model: Mapping[str, Any]) -> str | None:
  """Returns the token that a model writes for characters it does not know."""
  if isinstance(model['vocab'], list):
    i = model.get('unk_id')
    return None if i is None else model['vocab'][i][0]
  return model.get('unk_token')


def _completed(spec: dict[str, Any], roles: Mapping[str, str]) -> list[str]:
  """Adds the tokens of roles that a spec lacks to it; returns all its tokens.
  """
  tokens = tokens_of(spec)
  known, added = set(tokens), list(spec['added_tokens'])
  for token in dict.fromkeys(roles.values()):
    if token not in known:
      added.append({
          'id': len(tokens), 'content': token, 'single_word': False,
          'lstrip': False, 'rstrip': False, 'normalized': False,
          'special': True})
      known.add(token)
      tokens.append(token)
  spec['added_tokens'] = added
  return tokens


def built(spec: Mapping[str, Any]):
  """Returns the library's tokenizer of a spec."""
  import tokenizers
  return tokenizers.Tokenizer.from_str(json.dumps(spec))


def template(alone: frames.Frame, pair: frames.Frame, tokens: Sequence[str]
             ) -> dict[str, Any]:
  """Returns the frames of one text and of a pair as a post-processor."""
  special = lambda i, kind: {
      'SpecialToken': {'id': tokens[i], 'type_id': kind}}
  text = lambda name, kind: {'Sequence': {'id': name, 'type_id': kind}}

  def pieces(frame, texts):
    before, between, after = (
        [special(i, kind) for i, kind in zip(*each)]
        for each in zip(frame.ids, frame.types))
    second = [*between, text('B', frame.text_types[1])] if texts > 1 else []
    return [*before, text('A', frame.text_types[0]), *second, *after]
  used = {i for frame in (alone, pair) for some in frame.ids for i in some}
  return {
      'type': 'TemplateProcessing', 'single': pieces(alone, 1),
      'pair': pieces(pair, 2), 'special_tokens': {
          tokens[i]: {'id': tokens[i], 'ids': [i], 'tokens': [tokens[i]]}
          for i in sorted(used)}}


def _frame_of(spec: Mapping[str, Any], texts: int) -> frames.Frame:
  """Returns the frame that the post-processor of a spec puts around texts."""
  word = {'type': 'WordLevel', 'vocab': {'x': 0}, 'unk_token': 'x'}
  found = built({'version': '1.0', 'model': word, 'added_tokens': [],
                 'post_processor': spec.get('post_processor')}).encode(
                     *['x'] * texts)
  return frames.Frame.parsed(found.ids, found.type_ids, found.sequence_ids)


def _merges_without(merges: Sequence[str | Sequence[str]],
                    tokens: Collection[str]) -> list[str | Sequence[str]]:
  """Returns the merges in which some tokens neither occur nor arise.

  Args:
    merges: Pairs of tokens, or pairs joined by a space.
    tokens: The tokens.
  """
  begins = tuple(f'{token} ' for token in tokens)
  ends = tuple(f' {token}' for token in tokens)
  spelled = ((merge, merge if isinstance(merge, str) else ' '.join(merge))
             for merge in merges)
  return [merge for merge, text in spelled if not (
      text.replace(' ', '') in tokens or text.startswith(begins)
      or text.endswith(ends))]
