"""Prompts as a rectangle of tokens: checked, padded on the left, in buckets."""
from collections.abc import Sequence
import json
import pathlib
import sys
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


def read(path: str) -> list[str]:
  """Returns the prompts of a file, one a line, or of standard input for '-'.

  Where the first line is a JSON object with a "prompt", all lines should be.

  Raises:
    InputError: If the file cannot be read, or a line is not what it should be.
  """
  try:
    text = (sys.stdin.read() if path == '-'
            else pathlib.Path(path).read_text(encoding='utf-8'))
  except (OSError, UnicodeDecodeError) as error:
    raise errors.InputError(
        f'Prompts file {path!r} cannot be read: {error}.') from None
  lines = [(number, line.rstrip('\r')) for number, line in
           enumerate(text.split('\n'), 1) if line.strip()]
  if not lines:
    raise errors.InputError(
        f'Prompts file {path!r} is empty; write one prompt a line.')
  if _from_json(lines[0][1]) is None:
    return [line for _, line in lines]
  prompts = []
  for number, line in lines:
    prompts.append(_from_json(line))
    if prompts[-1] is None:
      raise errors.InputError(
          f'Line {number} of {path!r} should be a JSON object with a "prompt", '
          f'as line {lines[0][0]} is; got {line[:60]!r}.')
  return prompts


def _from_json(line: str) -> str | None:
  """Returns the prompt of a JSON line, or None if it is not one."""
  try:
    value = json.loads(line)
  except (ValueError, RecursionError):
    return None
  prompt = value.get('prompt') if isinstance(value, dict) else None
  return prompt if isinstance(prompt, str) else None


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
  if len(prompts) == 0:
    raise errors.InputError('There is no prompt; give at least one.')
  rows = [_checked(i, prompt, vocab_size) for i, prompt in enumerate(prompts)]
  longest = max(len(row) for row in rows)
  if longest + max_new_tokens > context:
    which = next(i for i, row in enumerate(rows) if len(row) == longest)
    raise errors.InputError(
        f'Prompt {which} has {longest} tokens, which max_new_tokens = '
        f'{max_new_tokens} would take beyond the {context} that the model '
        'reads; shorten the prompt or ask for fewer tokens.')
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
