"""The files of llama2.c: a Llama in one file, and its tokenizer in another.

A model begins with seven 32-bit numbers: width, hidden size, layers, heads, key
heads, vocabulary and context. A negative vocabulary says that the output layer
is not tied. Then come the float32 weights, one kind after the other with all
layers of a kind together, and two tables of rotations, which the other numbers
determine. The rotated dimensions of a head are stored side by side, and here
become the two halves that Hugging Face's files have.

References:
  Karpathy, llama2.c, https://github.com/karpathy/llama2.c, `run.c`.
"""
from collections.abc import Iterator
import dataclasses
import math
import os
import struct
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.interop.formats import adapted
from lmjax.interop.formats import mapped
from lmjax.interop.formats import tensors as tensors_lib
from lmjax.interop.mapping import operations

_HEADER = struct.Struct('<7i')
_FLOAT = np.dtype('<f4')
_THETA, _EPSILON = 10_000.0, 1e-5  # Are in run.c rather than in the file.
_BOS, _EOS = 1, 2


@dataclasses.dataclass(frozen=True)
class Vocabulary:
  """The pieces of a tokenizer, by id.

  Attributes:
    pieces: The bytes of each piece. The first three are unknown, begin and end
      of a text; '<0x00>' to '<0xFF>' stand for single bytes.
    scores: The score of each piece; of two neighbours that may be merged, those
      with the highest score of the result are merged first.
  """
  pieces: tuple[bytes, ...]
  scores: tuple[float, ...]


def is_model(path: str | os.PathLike[str]) -> bool:
  """Returns whether a file has the size that its header asks for."""
  content = mapped.content(path)
  try:
    _sizes(content)
  except ValueError:
    return False
  return True


def read(path: str | os.PathLike[str]) -> adapted.Adapted:
  """Opens a model of llama2.c as a Llama; a tensor is read when asked for.

  Raises:
    InputError: If the file is damaged, or not of this format.
  """
  content = mapped.content(path)
  try:
    sizes = _sizes(content)
  except ValueError as error:
    raise errors.InputError(
        f'{path} is not a model of llama2.c: {error}.') from error
  return adapted.Adapted(
      _config(sizes) | {'bos_token_id': _BOS, 'eos_token_id': _EOS},
      dict(_tensors(content, sizes)),
      {'bos_token_id': _BOS, 'eos_token_id': [_EOS, _BOS]})  # As run.c stops.


def read_vocabulary(path: str | os.PathLike[str]) -> Vocabulary:
  """Reads a tokenizer of llama2.c, such as tok512.bin.

  Raises:
    InputError: If the file is damaged, or not of this format.
  """
  content = mapped.content(path).tobytes()
  pieces, scores = [], []
  at = 4
  try:
    longest, = struct.unpack_from('<I', content)
    while at < len(content):
      score, length = struct.unpack_from('<fI', content, at)
      piece = content[at + 8:at + 8 + length]
      if length > longest or len(piece) < length:
        raise ValueError(
            f'piece {len(pieces)} should have {length:,} bytes, of at most '
            f'{longest:,} and with {len(content) - at - 8:,} left')
      if not math.isfinite(score):
        raise ValueError(f'piece {len(pieces)} has the score {score}')
      pieces.append(piece)
      scores.append(score)
      at += 8 + length
  except (ValueError, struct.error) as error:
    raise errors.InputError(
        f'{path} is not a tokenizer of llama2.c: {error}.') from error
  return Vocabulary(tuple(pieces), tuple(scores))


@dataclasses.dataclass(frozen=True)
class _Sizes:
  """The header of a file."""
  width: int
  hidden: int
  layers: int
  heads: int
  key_heads: int
  vocabulary: int
  context: int
  tied: bool

  @property
  def head(self) -> int:
    return self.width // self.heads

  @property
  def keys(self) -> int:
    return self.head * self.key_heads


def _sizes(content: np.ndarray) -> _Sizes:
  """Returns the header, once the file has the size that it asks for."""
  if content.size < _HEADER.size:
    raise ValueError(f'it has {content.size} bytes, less than a header')
  *numbers, vocabulary, context = _HEADER.unpack(
      content[:_HEADER.size].tobytes())
  sizes = _Sizes(*numbers, abs(vocabulary), context, vocabulary > 0)
  if min(*numbers, abs(vocabulary), context) < 1:
    raise ValueError('its header has numbers that are not positive')
  if (sizes.width % sizes.heads or sizes.heads % sizes.key_heads
      or sizes.head % 2):
    raise ValueError(
        f'its width {sizes.width} cannot be divided into {sizes.heads} heads '
        f'with {sizes.key_heads} of keys')
  need = _HEADER.size + _FLOAT.itemsize * sum(
      math.prod(shape) for _, shape in _parts(sizes))
  if content.size != need:
    raise ValueError(
        f'its header asks for {need:,} bytes, but it has {content.size:,}')
  return sizes


def _config(sizes: _Sizes) -> dict[str, Any]:
  return {
      'model_type': 'llama', 'architectures': ['LlamaForCausalLM'],
      'hidden_size': sizes.width, 'intermediate_size': sizes.hidden,
      'num_hidden_layers': sizes.layers, 'num_attention_heads': sizes.heads,
      'num_key_value_heads': sizes.key_heads, 'vocab_size': sizes.vocabulary,
      'max_position_embeddings': sizes.context, 'hidden_act': 'silu',
      'rms_norm_eps': _EPSILON, 'rope_theta': _THETA, 'rope_scaling': None,
      'attention_bias': False, 'mlp_bias': False,
      'tie_word_embeddings': sizes.tied}


def _parts(sizes: _Sizes) -> Iterator[tuple[str | None, tuple[int, ...]]]:
  """Yields the names and shapes of all weights, in the order of the file.

  A name with `{}` is of a tensor of every layer; one without a name is ignored.
  """
  d, f, n = sizes.width, sizes.hidden, sizes.layers
  layer = 'model.layers.{}.'
  yield 'model.embed_tokens.weight', (sizes.vocabulary, d)
  yield f'{layer}input_layernorm.weight', (n, d)
  yield f'{layer}self_attn.q_proj.weight', (n, d, d)
  yield f'{layer}self_attn.k_proj.weight', (n, sizes.keys, d)
  yield f'{layer}self_attn.v_proj.weight', (n, sizes.keys, d)
  yield f'{layer}self_attn.o_proj.weight', (n, d, d)
  yield f'{layer}post_attention_layernorm.weight', (n, d)
  yield f'{layer}mlp.gate_proj.weight', (n, f, d)
  yield f'{layer}mlp.down_proj.weight', (n, d, f)
  yield f'{layer}mlp.up_proj.weight', (n, f, d)
  yield 'model.norm.weight', (d,)
  yield None, (sizes.context, sizes.head // 2)  # Cosines of the rotations.
  yield None, (sizes.context, sizes.head // 2)  # Their sines.
  if not sizes.tied:
    yield 'lm_head.weight', (sizes.vocabulary, d)


def _tensors(content: np.ndarray, sizes: _Sizes
             ) -> Iterator[tuple[str, tensors_lib.Tensor]]:
  """Yields the tensors of a file."""
  begin = _HEADER.size
  for name, shape in _parts(sizes):
    heads = {'q_proj': sizes.heads, 'k_proj': sizes.key_heads}.get(
        name.split('.')[-2] if name else '')
    stacked = name is not None and '{}' in name
    one = shape[1:] if stacked else shape
    for layer in range(shape[0]) if stacked else (0,):
      if name is not None:
        yield name.format(layer), _tensor(content, begin, one, heads)
      begin += _FLOAT.itemsize * math.prod(one)


def _tensor(content, begin, shape, heads) -> tensors_lib.Tensor:
  def read_one():
    found = mapped.array(content, begin, _FLOAT, shape)
    return found if heads is None else (
        operations.Halves(heads).apply((found,))[0])
  return tensors_lib.Tensor(shape, 'F32', read_one)
