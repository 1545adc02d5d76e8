"""Pads prompts on the left to arrays of a few shapes, and checks them."""
from collections.abc import Callable, Sequence
import dataclasses
from typing import Any

from flax import struct
import jax
import numpy as np

from lmjax.core import errors


@dataclasses.dataclass(frozen=True)
class Prompt:
  """A prompt, with the inputs that some models need besides its ids.

  Attributes:
    ids: Ids that the drawn tokens continue.
    source: Ids that the model's encoder reads; None if it has no encoder.
    both_ways: Number of ids, from the first, that see each other both ways.
    end: An id that ends the drawn tokens besides EOS, or None.
  """
  ids: Sequence[int]
  source: Sequence[int] | None = None
  both_ways: int = 0
  end: int | None = None


@struct.dataclass
class Padded:
  """Prompts of different lengths, aligned at their ends.

  Attributes:
    inputs_BT: Token ids; 0 at padding.
    lengths_B: Number of tokens in each prompt, which ends its row; 0 for a row
      that is only padding.
    room: Number of tokens that can follow.
    ends_B: The id that ends each row besides EOS; -1 for none.
    both_ways_B: Number of tokens of each prompt, from the first, that see each
      other both ways; None if it is 0 in all rows.
    sources_BS: Ids that the encoder reads, padded on the right, or None.
    source_lengths_B: Number of tokens in each source, or None.
  """
  inputs_BT: jax.Array | np.ndarray
  lengths_B: jax.Array | np.ndarray
  room: int = struct.field(pytree_node=False)
  ends_B: jax.Array | np.ndarray
  both_ways_B: jax.Array | np.ndarray | None = None
  sources_BS: jax.Array | np.ndarray | None = None
  source_lengths_B: jax.Array | np.ndarray | None = None


# encode(tokenizer, text) -> the prompt that a model continues. `encode` is the
# plain one; `recipes.loaded.prompting` makes the one of a run.
Encode = Callable[[Any, str], Sequence[int] | Prompt]


def encode(tokenizer: Any, text: str) -> np.ndarray:
  """Returns a prompt's ids: BOS, if documents begin with it, and the text.

  Raises:
    InputError: If there are no ids.
  """
  ids = begun(tokenizer, text)
  if not ids.size:
    raise errors.InputError(
        'The prompt is empty, and the tokenizer has no BOS to begin with; give '
        'at least one token.')
  return ids


def begun(tokenizer: Any, text: str) -> np.ndarray:
  """Returns the ids of a text that begins a document, BOS included."""
  bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
  return np.concatenate([np.array(bos, np.int64), tokenizer.encode(text)]
                        ).astype(np.int32)


def of(prompt: Sequence[int] | Prompt) -> Prompt:
  """Returns ids as a prompt; a prompt is returned as it is."""
  return prompt if isinstance(prompt, Prompt) else Prompt(prompt)


def limit(number: int, prompt: Prompt, max_new_tokens: int, context: int
          ) -> int:
  """Returns how many tokens can follow a prompt, at most `max_new_tokens`.

  Args:
    number: The number of the prompt, for the message.
    prompt: The prompt.
    max_new_tokens: Most tokens to draw.
    context: Most tokens that the model reads.

  Raises:
    InputError: If the prompt leaves no room in the context.
  """
  room = context - len(prompt.ids)
  if room < 1:
    raise errors.InputError(
        f'Prompt {number} has {len(prompt.ids)} tokens, and the model reads '
        f'{context}, the continuation included: shorten it. '
        'experiments/generate.py --window (window=True in Python) continues '
        'its last part.')
  return min(room, max_new_tokens)


def pad(prompts: Sequence[Sequence[int] | Prompt], *, max_new_tokens: int,
        context: int, vocab_size: int) -> Padded:
  """Returns prompts as one batch, which has one of a few shapes.

  Rounds the number of rows, the length of prompts and the room up to powers of
  two, within the context, so that a loop compiled for one batch serves many.

  Args:
    prompts: Prompts, each a sequence of token ids or a `Prompt`.
    max_new_tokens: Most tokens to draw after each prompt.
    context: Most tokens that the model reads.
    vocab_size: Number of ids.

  Raises:
    InputError: If there are no prompts, or one is empty, exceeds the context
      together with `max_new_tokens`, or has an id outside the vocabulary.
  """
  if max_new_tokens < 1:
    raise errors.InputError(
        f'max_new_tokens should be at least 1; got {max_new_tokens}.')
  if len(prompts) == 0:
    raise errors.InputError('There is no prompt; give at least one.')
  prompts = list(map(of, prompts))
  rows = [_checked(f'Prompt {i}', prompt.ids, vocab_size)
          for i, prompt in enumerate(prompts)]
  longest = max(len(row) for row in rows)
  if longest + max_new_tokens > context:
    which = next(i for i, row in enumerate(rows) if len(row) == longest)
    raise errors.InputError(
        f'Prompt {which} has {longest} tokens, which with max_new_tokens = '
        f'{max_new_tokens} exceed the {context} that the model reads; shorten '
        'the prompt or ask for fewer tokens.')
  width = min(bucket(longest, 16), context - max_new_tokens)
  room = min(bucket(max_new_tokens, 16), context - width)
  count = bucket(len(rows))
  inputs_BT = np.zeros((count, width), np.int32)
  for i, row in enumerate(rows):
    inputs_BT[i, width - len(row):] = row
  both_ways_B = _filled([prompt.both_ways for prompt in prompts], count, 0)
  sources_BS, source_lengths_B = _sources(prompts, count, context, vocab_size)
  return Padded(
      inputs_BT, _filled(map(len, rows), count, 0), room,
      _filled([-1 if prompt.end is None else prompt.end for prompt in prompts],
              count, -1),
      both_ways_B if both_ways_B.any() else None, sources_BS, source_lengths_B)


def _sources(prompts, count, context, vocab_size):
  """Returns the padded sources and their lengths, or (None, None)."""
  given = [prompt.source is not None for prompt in prompts]
  if not any(given):
    return None, None
  if not all(given):
    raise errors.InputError(
        f'Prompt {given.index(False)} has no source, and others have one; give '
        'all one or none.')
  rows = [_checked(f'The source of prompt {i}', prompt.source, vocab_size)
          for i, prompt in enumerate(prompts)]
  longest = max(len(row) for row in rows)
  if longest > context:
    which = next(i for i, row in enumerate(rows) if len(row) == longest)
    raise errors.InputError(
        f'The source of prompt {which} has {longest} tokens, but the model '
        f'reads {context}; shorten the prompt.')
  sources_BS = np.zeros((count, min(bucket(longest, 16), context)), np.int32)
  for i, row in enumerate(rows):
    sources_BS[i, :len(row)] = row
  return sources_BS, _filled(map(len, rows), count, 0)


def _filled(values, count, rest):
  """Returns the prompts' values, followed by `rest` up to `count`, as int32."""
  values = list(values)
  return np.array(values + [rest] * (count - len(values)), np.int32)


def bucket(size: int, least: int = 1) -> int:
  """Returns the smallest power of two that is at least `size` and `least`."""
  return 1 << (max(size, least) - 1).bit_length()


def _checked(name: str, ids: Sequence[int], vocab_size: int) -> np.ndarray:
  row = np.asarray(ids)
  if not row.size:
    raise errors.InputError(
        f'{name} is empty; begin it with BOS, or give at least one token.')
  if row.ndim != 1 or not np.issubdtype(row.dtype, np.integer):
    raise errors.InputError(
        f'{name} should be a sequence of token ids; got an array of '
        f'{row.dtype} of shape {row.shape}.')
  wrong = row[(row < 0) | (row >= vocab_size)]
  if wrong.size:
    raise errors.InputError(
        f'{name} holds token id {wrong[0]}, outside the model\'s vocabulary of '
        f'{vocab_size} ids; was it encoded by another tokenizer?')
  return row.astype(np.int32)
