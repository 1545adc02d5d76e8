"""Tokenizers of pretrained models, read from the files they are published as.

A file is known by its content, not by its name:

- tokenizer.json of Hugging Face, with the tokenizer_config.json beside it,
- vocab.json with merges.txt, or encoder.json with vocab.bpe (GPT-2, RoBERTa),
- ranks of tiktoken (Llama 3),
- a SentencePiece model (Llama 2, T5, ALBERT, XLNet, XLM-RoBERTa, and the
  sources of Marian),
- vocab.txt (BERT),
- a tokenizer of llama2.c.

`of_gguf` reads the tokenizer inside a GGUF file.
"""
from collections.abc import Callable, Iterable, Mapping
import dataclasses
import pathlib
import re
from typing import Any

from lmjax.core import errors
from lmjax.core.files import beside
from lmjax.core.files import safe_paths
from lmjax.core.files import strict_json
from lmjax.core.files import user_paths
from lmjax.core import ranges
from lmjax.data.tokenizers import library
from lmjax.data.tokenizers import roles as roles_lib
from lmjax.data.tokenizers import sentences
from lmjax.data.tokenizers import specs
from lmjax.data.tokenizers import vocabulary
from lmjax.data.tokenizers.converting import byte_level
from lmjax.data.tokenizers.converting import gguf
from lmjax.data.tokenizers.converting import parts
from lmjax.data.tokenizers.converting import scored
from lmjax.data.tokenizers.converting import sentence_model
from lmjax.data.tokenizers.converting import word_pieces

_MARIAN = 'source.spm'
_NAMES = (  # The files of a folder, the most complete first.
    'tokenizer.json', _MARIAN, 'vocab.json', 'encoder.json', 'tokenizer.model',
    'spiece.model', sentence_model.FAIRSEQ, 'vocab.txt')
_MERGES = {'vocab.json': 'merges.txt', 'encoder.json': 'vocab.bpe'}
_RANK = re.compile(rb'[A-Za-z0-9+/]+=* [0-9]+\r?\n')


@dataclasses.dataclass(frozen=True)
@ranges.checked
class PretrainedTokenizer:
  """The tokenizer of a pretrained model, from a file or a folder.

  Attributes:
    path: The file or folder; see `pretrained`.
    bos: Whether documents begin with BOS; None if the model's own do.
    eos: Whether documents end with EOS; None if the model's own do. GPT-2's do
      not: set it to True to pretrain on documents that end.
    start: The id that a decoder reads before its text, such as 0, the <pad> of
      T5; None lets it begin with a sentinel, BOS or EOS.
  """
  path: user_paths.Path | None = None
  bos: bool | None = None
  eos: bool | None = None
  start: ranges.Natural | None = None

  needs = 'nothing'  # Splits that `build` reads.
  asked = None  # Number of ids that the config asks for.

  def build(self, documents: Iterable[str] = ()) -> vocabulary.Tokenizer:
    """Returns the tokenizer; it does not depend on the documents.

    Raises:
      InputError: If the files are missing or damaged.
    """
    del documents
    if not self.path:
      raise errors.InputError(
          'PretrainedTokenizer needs a path: that of a tokenizer.json, or of a '
          'folder with one.')
    return read(self.path, self.bos, self.eos).started(self.start)

  @staticmethod
  def restore(state, directory) -> vocabulary.Tokenizer:
    """Returns the tokenizer whose `state` was saved in the directory."""
    kind = (sentences.SentenceTokenizer if 'engine' in state else
            library.LibraryTokenizer)
    return kind.restore(state, directory)


def read(path: str | pathlib.Path, bos: bool | None = None,
         eos: bool | None = None) -> vocabulary.Tokenizer:
  """Returns the tokenizer of a pretrained model.

  Args:
    path: A file, or the folder of a checkpoint.
    bos: Whether documents begin with BOS; None if the model's own do.
    eos: Whether documents end with EOS; None if the model's own do.

  Raises:
    InputError: If there is no tokenizer, or its files are damaged.
  """
  path = pathlib.Path(path)
  if path.is_dir():
    found = [name for name in _NAMES
             if safe_paths.safe_join(path, name).exists()]
    found += sorted(each.name for each in path.glob('*.tiktoken'))
    if not found:
      raise errors.InputError(
          f'{str(path)!r} has no tokenizer; a folder should have one of '
          f'{", ".join(_NAMES)}.')
    path /= found[0]
  content = specs.read_bytes(path)
  with specs.refusing(f'{str(path)!r} is not a usable tokenizer'):
    config = _config(path.parent)
    spec, roles = _reader(content)(path, content, config)
    _add_declared(spec, config)
    roles |= config.roles
    given = [config.values.get(f'add_{end}_token') for end in ('bos', 'eos')]
    if given != [None, None]:  # If one is given, the other defaults to False.
      bos, eos = (bool(own) if end is None else end
                  for own, end in zip(given, (bos, eos)))
  if sentence_model.is_model(content):
    return sentences.SentenceTokenizer(
        content, spec, roles, bos, eos, str(path))
  return library.LibraryTokenizer(spec, roles, bos, eos, str(path))


def of_gguf(metadata: Mapping[str, Any], path: str = 'the GGUF file',
            bos: bool | None = None, eos: bool | None = None
            ) -> vocabulary.Tokenizer:
  """Returns the tokenizer that a GGUF file holds.

  Args:
    metadata: The values of the file by key, such as 'tokenizer.ggml.tokens'.
    path: The name of the file in messages.
    bos: Whether documents begin with BOS; None if as the file says.
    eos: Whether documents end with EOS; None if as the file says.

  Raises:
    InputError: If there is no tokenizer, or a damaged or unknown one.
  """
  with specs.refusing(f'{path!r} has no usable tokenizer'):
    spec, roles, ends = gguf.of_metadata(metadata)
  bos, eos = (ends.get(end) if own is None else own
              for end, own in (('bos', bos), ('eos', eos)))
  return library.LibraryTokenizer(spec, roles, bos, eos, path)


@dataclasses.dataclass(frozen=True)
class _Config:
  """The files beside a tokenizer.

  Attributes:
    values: The contents of tokenizer_config.json.
    roles: The token of each role that they declare.
    added: The added tokens that they declare, by id.
  """
  values: Mapping[str, Any]
  roles: Mapping[str, str]
  added: Mapping[int, Mapping[str, Any]]


def _config(folder: pathlib.Path) -> _Config:
  """Returns what the files beside a tokenizer say about it."""
  values, special, old = (
      beside.read(folder, name) or {} for name in (
          'tokenizer_config.json', 'special_tokens_map.json',
          'added_tokens.json'))
  roles = (roles_lib.declared(special, 'special_tokens_map.json')
           | roles_lib.declared(values, 'tokenizer_config.json'))
  named = {token['content'] if isinstance(token, dict) else token
           for token in special.get('additional_special_tokens') or ()}
  added = {i: parts.added(name, i, name in named) for name, i in old.items()}
  for i, token in (values.get('added_tokens_decoder') or {}).items():
    added[int(i)] = parts.added(token['content'], int(i)) | {
        key: bool(token[key]) for key in (
            'single_word', 'lstrip', 'rstrip', 'normalized', 'special')
        if key in token}
  return _Config(values, roles, added)


def _add_declared(spec: dict[str, Any], config: _Config) -> None:
  """Adds to a spec the tokens that only the files beside it declare."""
  have = {token['id'] for token in spec['added_tokens']}
  spec['added_tokens'] += [
      config.added[i] for i in sorted(config.added) if i not in have]


def _reader(content: bytes) -> Callable:
  """Returns the function that reads a file of this content."""
  if content.lstrip()[:1] == b'{':
    return _json
  if _RANK.match(content):
    return lambda path, content, config: byte_level.of_ranks(content)
  if sentence_model.is_model(content):
    return _sentences
  if b'[CLS]' in content:
    return _word_pieces
  if b'<0xFF>' in content:
    return _llama2c
  raise ValueError(
      'it is none of tokenizer.json, vocab.json with merges.txt, ranks of '
      'tiktoken, a SentencePiece model, the vocab.txt of BERT, and a tokenizer '
      'of llama2.c')


def _json(path, content, config):
  """Reads a tokenizer.json, or a vocab.json with its merges."""
  value = strict_json.loads(content.decode('utf-8'))
  if 'digest' in value:
    raise ValueError(
        'lmjax wrote it; read its folder by data.tokenizers.tokenizer.load')
  if 'model' not in value or isinstance(value['model'], int):
    name = _MERGES.get(path.name, 'merges.txt')
    merges = specs.read_bytes(safe_paths.safe_join(path.parent, name))
    return byte_level.of_files(
        value, merges.decode('utf-8'),
        config.values.get('add_prefix_space') is True)
  spec = specs.parsed(content, str(path))
  special = [token['content'] for token in spec['added_tokens']
             if token['special']]
  return spec, roles_lib.usual(special)


def _word_pieces(path, content, config):
  """Reads the vocab.txt of BERT; its tokenizer_config.json says how."""
  del path
  lines = content.decode('utf-8').removesuffix('\n').split('\n')
  pieces = [line.removesuffix('\r') for line in lines]
  return word_pieces.of_vocab(
      pieces, config.values.get('do_lower_case', True),
      config.values.get('strip_accents'),
      config.values.get('tokenize_chinese_chars', True))


def _sentences(path, content, config):
  """Reads a SentencePiece model; source.spm is Marian's, with a vocab.json."""
  if path.name == _MARIAN:
    return sentence_model.of_marian(
        content, beside.read(path.parent, 'vocab.json') or {})
  return sentence_model.of_model(
      content, path.name, config.values.get('extra_ids'))


def _llama2c(path, content, config):
  """Reads a tokenizer of llama2.c, such as tok512.bin."""
  del path, config
  found = scored.of_llama2c(content)
  ids = {name: i for i, name in enumerate(found.names)}
  return (found.spec(parts.frame(ids, ['<s>'], ['<s>'], [])),
          {'unk': '<unk>', 'bos': '<s>', 'eos': '</s>'})
