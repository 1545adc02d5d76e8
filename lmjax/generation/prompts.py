"""Prompts as a rectangle of tokens: checked, padded on the left, in buckets."""
from collections.abc import Sequence
from typing import Any

from flax import struct
import jax
import numpy as np

from lmjax.core import errors


@struct.dataclass
class Padded:
  """Prompts of different lengths, aligned at their ends.

  Attributes:
    inputs_BT: Token ids; 0 where there is padding.
    lengths_B: How many tokens of each row, the last ones, are its prompt.
      A row that only fills the bucket has length 0.
    room: How many tokens can follow.
  """
  inputs_BT: jax.Array | np.ndarray
  lengths_B: jax.Array | np.ndarray
  room: int = struct.field(pytree_node=False)


def encode(tokenizer: Any, text: str) -> np.ndarray:
  """Returns a prompt's ids: BOS, where documents begin with one, and the text.

  Raises:
    InputError: If that is nothing at all.
  """
  bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
  ids = np.concatenate([np.array(bos, np.int64), tokenizer.encode(text)])
  if not ids.size:
    raise errors.InputError(
        'The prompt is empty, and the tokenizer has no BOS to begin with; give '
        'at least one token.')
  return ids.astype(np.int32)


def pad(prompts: Sequence[Sequence[int]], *, max_new_tokens: int, context: int,
        vocab_size: int) -> Padded:
  """Returns prompts as one batch whose shape is one of few.

  Rows, prompt length and room are rounded up to powers of two, so that a loop
  compiled for one batch serves many; never beyond the context.

  Args:
    prompts: Token ids, each prompt a sequence.
    max_new_tokens: How many tokens will follow at most.
    context: The model's longest sequence.
    vocab_size: Ids are below it.

  Raises:
    InputError: If there is no prompt, or one is empty, too long for the context
      with what should follow, or holds an id outside the vocabulary.
  """
  if max_new_tokens < 1:
    raise errors.InputError(
        f'max_new_tokens should be at least 1; got {max_new_tokens}.')
  if not prompts:
    raise errors.InputError('There is no prompt; give at least one.')
  rows = [_checked(i, prompt, vocab_size) for i, prompt in enumerate(prompts)]
  longest = max(len(row) for row in rows)
  if longest + max_new_tokens > context:
    raise errors.InputError(
        f'A prompt of {longest} tokens and max_new_tokens = {max_new_tokens} '
        f'make {longest + max_new_tokens}, but the model reads at most '
        f'{context}; shorten the prompt or ask for at most '
        f'{max(context - longest, 0)} tokens.')
  width = min(bucket(longest, 16), context - max_new_tokens)
  room = min(bucket(max_new_tokens, 16), context - width)
  inputs_BT = np.zeros((bucket(len(rows)), width), np.int32)
  for i, row in enumerate(rows):
    inputs_BT[i, width - len(row):] = row
  lengths_B = np.zeros(len(inputs_BT), np.int32)
  lengths_B[:len(rows)] = [len(row) for row in rows]
  return Padded(inputs_BT, lengths_B, room)


def bucket(size: int, least: int = 1) -> int:
  """Returns the smallest power of two that is at least `size` and `least`."""
  return 1 << (max(size, least) - 1).bit_length()


def _checked(index: int, prompt: Sequence[int], vocab_size: int) -> np.ndarray:
  row = np.asarray(prompt)
  if not row.size:
    raise errors.InputError(
        f'Prompt {index} is empty; begin it with BOS, or give at least one '
        'token.')
  if row.ndim != 1 or not np.issubdtype(row.dtype, np.integer):
    raise errors.InputError(
        f'Prompt {index} should be a sequence of token ids; got an array of '
        f'{row.dtype} of shape {row.shape}.')
  wrong = row[(row < 0) | (row >= vocab_size)]
  if wrong.size:
    raise errors.InputError(
        f'Prompt {index} holds token id {wrong[0]}, outside the model\'s '
        f'vocabulary of {vocab_size} ids; was it encoded by another tokenizer?')
  return row.astype(np.int32)
