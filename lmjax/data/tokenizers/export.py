"""Tokenizers written as Hugging Face's files, which `transformers` loads."""
from collections.abc import Callable, Mapping
import json
from typing import Any

from lmjax.core import errors
from lmjax.data.tokenizers import library
from lmjax.data.tokenizers import roles as roles_lib
from lmjax.data.tokenizers import specials
from lmjax.data.tokenizers import specs
from lmjax.data.tokenizers import spelling
from lmjax.data.tokenizers import subwords
from lmjax.data.tokenizers import symbols
from lmjax.data.tokenizers import vocabulary
from lmjax.data.tokenizers import words
from lmjax.data.tokenizers.converting import byte_level
from lmjax.data.tokenizers.converting import parts
from lmjax.data.tokenizers.converting import sentence_model

_ENDS = {'bos': '<s>', 'eos': '</s>'}


def files(tokenizer: vocabulary.Tokenizer, longest: int | None = None
          ) -> dict[str, bytes]:
  """Returns {name: content} of the files of a tokenizer in a checkpoint.

  `transformers.AutoTokenizer.from_pretrained` gives the same ids for a text, as
  it is the same library that reads tokenizer.json. There are exceptions: models
  of SentencePiece take a U+2581 in a text for a space; those that normalise
  text do so in another way for some combining characters; a unigram model finds
  the names of control pieces in a text whose letters it lacks; and a character
  that `Characters` refuses is left out.

  Args:
    tokenizer: The tokenizer.
    longest: The most tokens that the model reads.

  Raises:
    InputError: If a tokenizer of this kind cannot be written so.
  """
  spec, roles = described(tokenizer)
  tokens = specs.tokens_of(spec)
  spec['post_processor'] = specs.template(
      tokenizer.frame(1), tokenizer.frame(2), tokens)
  named = {f'{role}_token': token for role, token in sorted(roles.items())}
  config = {'tokenizer_class': 'PreTrainedTokenizerFast',
            'clean_up_tokenization_spaces': False, **named}
  if longest is not None:
    config['model_max_length'] = longest
  return {
      'tokenizer.json': _json(spec), 'tokenizer_config.json': _json(config),
      'special_tokens_map.json': _json(named)}


def described(tokenizer: vocabulary.Tokenizer
              ) -> tuple[dict[str, Any], dict[str, str]]:
  """Returns the value of a tokenizer.json, and the token of each role.

  Raises:
    InputError: If a tokenizer of this kind has none.
  """
  for kind, describe in _KINDS.items():
    if isinstance(tokenizer, kind):
      spec, roles = describe(tokenizer)
      return dict(spec), dict(roles)
  raise errors.InputError(
      f'A tokenizer of {tokenizer.name} cannot be written as a tokenizer.json.')


def _extended(tokenizer: specials.Extended):
  spec, roles = described(tokenizer.base)
  names = {i: name for name, i in tokenizer.specials.items()}
  added = [parts.added(names[i], i) for i in range(
      tokenizer.base.vocab_size, tokenizer.vocab_size)]
  by_name = {name: role for role, name in roles_lib.NAMES.items()}
  roles |= {by_name[token['content']]: token['content'] for token in added
            if token['content'] in by_name}
  return spec | {'added_tokens': [*spec['added_tokens'], *added]}, roles


def _pretrained(tokenizer: library.LibraryTokenizer):
  return tokenizer.spec, tokenizer.roles


def _sentences(tokenizer: subwords.SubwordTokenizer):
  model, = tokenizer.files().values()
  found, roles = sentence_model.pieces(model)
  return found.spec(), roles


def _bytes(tokenizer: symbols.ByteTokenizer):
  letters = spelling.byte_letters()
  vocab = {letters[byte]: byte for byte in range(256)}
  whole = parts.byte_level(regex=False)
  return _with_ends(tokenizer, byte_level.model(vocab, []),
                    pre_tokenizer=whole, decoder=whole)


def _characters(tokenizer: symbols.CharacterTokenizer):
  vocab = {letter: i for i, letter in enumerate(tokenizer.alphabet)}
  return _with_ends(tokenizer, byte_level.model(vocab, []),
                    decoder={'type': 'Fuse'})


def _words(tokenizer: words.WordTokenizer):
  vocab = {word: i for i, word in enumerate(tokenizer.words)}
  split = lambda pattern, behavior: {
      'type': 'Split', 'pattern': {'Regex': pattern}, 'behavior': behavior,
      'invert': False}
  splits = [split(r'[^\S\n]+' if '\n' in vocab else r'\s+', 'Removed')]
  splits += [split(r'\n', 'Isolated')]
  spec, roles = _with_ends(
      tokenizer, {'type': 'WordLevel', 'vocab': vocab,
                  'unk_token': tokenizer.unk},
      pre_tokenizer=parts.sequence('pretokenizers', splits))
  return spec, roles | {'unk': tokenizer.unk}


def _with_ends(tokenizer: vocabulary.Tokenizer, model: Mapping[str, Any],
               **others: Any) -> tuple[dict[str, Any], dict[str, str]]:
  """Returns the spec of a model, with BOS and EOS under the usual names."""
  ids = {'bos': tokenizer.bos_id, 'eos': tokenizer.eos_id}
  roles = {end: name for end, name in _ENDS.items() if ids[end] is not None}
  if taken := set(roles.values()) & set(model['vocab']):
    raise errors.InputError(
        f'The vocabulary has a word {min(taken)!r}, which a tokenizer.json '
        'needs for BOS or EOS; set bos=False and eos=False.')
  added = [parts.added(name, ids[end]) for end, name in roles.items()]
  return parts.spec(model, added, **others), roles


def _json(value: Any) -> bytes:
  return json.dumps(value, ensure_ascii=False, indent=1).encode() + b'\n'


_KINDS: dict[type, Callable] = {
    specials.Extended: _extended,
    library.LibraryTokenizer: _pretrained,
    subwords.SubwordTokenizer: _sentences,
    symbols.ByteTokenizer: _bytes,
    symbols.CharacterTokenizer: _characters,
    words.WordTokenizer: _words,
}
