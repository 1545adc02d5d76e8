"""The tokenizer inside a GGUF file, from the metadata of the file."""
import base64
from collections.abc import Mapping, Sequence
from typing import Any

from lmjax.data.tokenizers.converting import byte_level
from lmjax.data.tokenizers.converting import parts
from lmjax.data.tokenizers.converting import scored
from lmjax.data.tokenizers.converting import word_pieces

GPT2 = (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|"
         r'\s+(?!\S)|\s+')
_QWEN2 = byte_level.LLAMA3.replace(r'\p{N}{1,3}', r'\p{N}')
PATTERNS = {  # tokenizer.ggml.pre -> the patterns that split text, in order.
    'gpt-2': (GPT2,), 'gpt2': (GPT2,), 'phi-2': (GPT2,), 'mpt': (GPT2,),
    'olmo': (GPT2,), 'jais': (GPT2,), 'roberta-bpe': (GPT2,),
    'jina-v1-en': (GPT2,), 'jina-v2-es': (GPT2,), 'jina-v2-de': (GPT2,),
    'smollm': (r'\p{N}', GPT2), 'starcoder': (r'\p{N}', GPT2),
    'refact': (r'\p{N}', GPT2), 'command-r': (r'\p{N}', GPT2),
    'codeshell': (r'\p{N}', GPT2), 'exaone': (r'\p{N}', GPT2),
    'llama-bpe': (byte_level.LLAMA3,), 'llama3': (byte_level.LLAMA3,),
    'llama-v3': (byte_level.LLAMA3,), 'falcon3': (byte_level.LLAMA3,),
    'dbrx': (byte_level.LLAMA3,), 'smaug-bpe': (byte_level.LLAMA3,),
    'qwen2': (_QWEN2,), 'stablelm2': (_QWEN2,), 'deepseek-r1-qwen': (_QWEN2,),
}
_WHOLE = ('llama-bpe', 'llama3', 'llama-v3', 'falcon3')  # They begin with BOS.
ROLES = {'bos': 'bos', 'eos': 'eos', 'unk': 'unknown', 'sep': 'seperator',
          'pad': 'padding', 'cls': 'cls', 'mask': 'mask'}


def of_metadata(metadata: Mapping[str, Any]
                ) -> tuple[dict[str, Any], dict[str, str], dict[str, bool]]:
  """Returns the tokenizer of a GGUF file.

  Args:
    metadata: Values by key, such as 'tokenizer.ggml.tokens'.

  Returns:
    The value of a tokenizer.json, the token of each role, and which of BOS
    and EOS documents have, by 'bos' and 'eos', if the metadata says so.

  Raises:
    ValueError: If something is missing, or the tokenizer is of another kind.
  """
  about = {key.removeprefix('tokenizer.ggml.'): value
           for key, value in metadata.items()
           if key.startswith('tokenizer.ggml.')}
  if 'tokens' not in about:
    raise ValueError('its metadata has no tokenizer.ggml.tokens')
  kind, names = about.get('model'), [str(name) for name in about['tokens']]
  roles = {}
  for role, name in ROLES.items():
    i = about.get(f'{name}_token_id')
    if i is None and name == 'seperator':  # The key was misspelled at first.
      i = about.get('separator_token_id')
    if i is None:
      continue
    if not 0 <= i < len(names):
      raise ValueError(f'its {name}_token_id is {i}, not that of a token')
    roles[role] = names[i]
  readers = {'gpt2': _byte_level, 'llama': _scored, 't5': _scored,
             'bert': _word_pieces}
  if kind not in readers:
    raise ValueError(
        f'tokenizer.ggml.model should be one of {", ".join(readers)}; got '
        f'{kind!r}')
  types = [int(i) for i in about.get('token_type') or [1] * len(names)]
  if len(types) != len(names):
    raise ValueError(
        f'it has {len(names):,} tokens and {len(types):,} types of tokens')
  spec, others = readers[kind](about, names, types)
  ends = {end: bool(about[f'add_{end}_token']) for end in ('bos', 'eos')
          if f'add_{end}_token' in about}
  return spec, others | roles, ends


def _byte_level(about, names, types):
  pre = about.get('pre', 'gpt-2')
  if pre not in PATTERNS:
    raise ValueError(
        f'tokenizer.ggml.pre should be one of {", ".join(PATTERNS)}; got '
        f'{pre!r}')
  vocab = _vocab(names)
  merges = [str(merge) for merge in about.get('merges', ())]
  added = [parts.added(name, i, kind == scored.Type.CONTROL)
           for i, (name, kind) in enumerate(zip(names, types))
           if kind in (scored.Type.CONTROL, scored.Type.USER_DEFINED)]
  post = None
  if pre in _WHOLE and (bos := about.get('bos_token_id')) is not None:
    post = parts.frame(vocab, [names[bos]], [names[bos]], [])
  model = byte_level.model(vocab, merges)
  return parts.spec(
      model | {'ignore_merges': pre in _WHOLE}, added,
      pre_tokenizer=parts.split(*PATTERNS[pre]), post_processor=post,
      decoder=parts.byte_level()), {}


def _scored(about, names, types):
  bpe = about['model'] == 'llama'
  charsmap = about.get('precompiled_charsmap')
  found = scored.Pieces(
      names, [float(score) for score in about.get('scores', ())], types,
      'bpe' if bpe else 'unigram', bool(about.get('add_space_prefix', True)),
      bool(about.get('remove_extra_whitespaces', not bpe)),
      base64.b64encode(bytes(charsmap)).decode() if charsmap else None)
  vocab = _vocab(names)
  bos, eos = ([names[about[key]]] if key in about else []
              for key in ('bos_token_id', 'eos_token_id'))
  around = (bos, bos, []) if bpe else ([], eos, eos)
  return found.spec(parts.frame(vocab, *around, typed=bpe)), {}


def _word_pieces(about, names, types):
  """Reads WordPiece, whose words begin with a space here instead of ##."""
  del about, types
  pieces = [name if name[:1] == '[' and name[-1:] == ']' else
            name[1:] if name[:1] == scored.SPACE else f'##{name}'
            for name in names]
  is_cased = any(name != name.lower() for name in pieces if name[:1] != '[')
  return word_pieces.of_vocab(pieces, lower=not is_cased)


def _vocab(names: Sequence[str]) -> dict[str, int]:
  """Returns the id of each token."""
  vocab = {name: i for i, name in enumerate(names)}
  if len(vocab) < len(names):
    raise ValueError('a token occurs twice')
  return vocab
