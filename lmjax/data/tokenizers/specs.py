"""The value of a tokenizer.json, called a spec here, and its parts."""
from collections.abc import Collection, Iterator, Mapping, Sequence
import contextlib
import json
from typing import Any

from lmjax.core import errors
from lmjax.core.files import strict_json
from lmjax.data.tokenizers import frames

MAX_BYTES = 64 << 20  # The largest published one, Gemma 3's, has 33 MB.
_MAX_IDS = 1 << 22
_MAX_GROWTH = 1 << 10  # Most characters that normalisers may write for one.


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
    return ordered(spec | {'model': model})


def ordered(spec: Mapping[str, Any]) -> dict[str, Any]:
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


def unknown(model: Mapping[str, Any]) -> str | None:
  """Returns the token that a model writes for characters it does not know."""
  if isinstance(model['vocab'], list):
    i = model.get('unk_id')
    return None if i is None else model['vocab'][i][0]
  return model.get('unk_token')


def completed(spec: dict[str, Any], roles: Mapping[str, str]) -> list[str]:
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


def frame_of(spec: Mapping[str, Any], texts: int) -> frames.Frame:
  """Returns the frame that the post-processor of a spec puts around texts."""
  word = {'type': 'WordLevel', 'vocab': {'x': 0}, 'unk_token': 'x'}
  found = built({'version': '1.0', 'model': word, 'added_tokens': [],
                 'post_processor': spec.get('post_processor')}).encode(
                     *['x'] * texts)
  return frames.Frame.parsed(found.ids, found.type_ids, found.sequence_ids)


def merges_without(merges: Sequence[str | Sequence[str]],
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
