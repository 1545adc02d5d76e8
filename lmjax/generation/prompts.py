"""Prompts as a rectangle of tokens: checked, padded on the left, in buckets."""
from collections.abc import Callable, Sequence
import dataclasses
from typing import Any

from flax import struct
import jax
import numpy as np

from lmjax.core import errors


@dataclasses.dataclass(frozen=True)
class Prompt:
  """What is continued, for models that read more than a text's beginning.

  Attributes:
    ids: What the tokens drawn come after.
    source: What the model's encoder reads; None where it has none.
    both_ways: How many of the ids, the first ones, see each other.
    end: An id that ends what is drawn, as EOS does; None: no further one.
  """
  ids: Sequence[int]
  source: Sequence[int] | None = None
  both_ways: int = 0
  end: int | None = None


@struct.dataclass
class Padded:
  """Prompts of different lengths, aligned at their ends.

  Attributes:
    inputs_BT: Token ids; 0 where there is padding.
    lengths_B: How many tokens of each row, the last ones, are its prompt.
      A row that only fills the bucket has length 0.
    room: How many tokens can follow.
    ends_B: The id that ends each row, as EOS does; -1: none.
    both_ways_B: How many of a prompt's tokens, the first ones, see each other;
      None: none do in any row.
    sources_BS: What an encoder reads, aligned at its beginning, or None.
    source_lengths_B: How many tokens of each row that is.
  """
  inputs_BT: jax.Array | np.ndarray
  lengths_B: jax.Array | np.ndarray
  room: int = struct.field(pytree_node=False)
  ends_B: jax.Array | np.ndarray
  both_ways_B: jax.Array | np.ndarray | None = None
  sources_BS: jax.Array | np.ndarray | None = None
  source_lengths_B: jax.Array | np.ndarray | None = None


# From a tokenizer and a text to what a model continues; `encode` is the plain
# way, and `lmjax.prompting` has that of any run.
Encode = Callable[[Any, str], Sequence[int] | Prompt]


def encode(tokenizer: Any, text: str) -> np.ndarray:
  """Returns a prompt's ids: BOS, where documents begin with one, and the text.

  Raises:
    InputError: If that is nothing at all.
  """
  ids = begun(tokenizer, text)
  if not ids.size:
    raise errors.InputError(
        'The prompt is empty, and the tokenizer has no BOS to begin with; give '
        'at least one token.')
  return ids


def begun(tokenizer: Any, text: str) -> np.ndarray:
  """Returns the ids of a text that begins a document, BOS among them."""
  bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
  return np.concatenate([np.array(bos, np.int64), tokenizer.encode(text)]
                        ).astype(np.int32)


def pad(prompts: Sequence[Sequence[int] | Prompt], *, max_new_tokens: int,
        context: int, vocab_size: int) -> Padded:
  """Returns prompts as one batch whose shape is one of few.

  Rows, prompt length and room are rounded up to powers of two, so that a loop
  compiled for one batch serves many; never beyond the context.

  Args:
    prompts: Each a sequence of token ids, or a `Prompt`.
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
  prompts = [prompt if isinstance(prompt, Prompt) else Prompt(prompt)
             for prompt in prompts]
  rows = [_checked(f'Prompt {i}', prompt.ids, vocab_size)
          for i, prompt in enumerate(prompts)]
  longest = max(len(row) for row in rows)
  if longest + max_new_tokens > context:
    which = next(i for i, row in enumerate(rows) if len(row) == longest)
    raise errors.InputError(
        f'Prompt {which} has {longest} tokens, which max_new_tokens = '
        f'{max_new_tokens} would take beyond the {context} that the model '
        'reads; shorten the prompt or ask for fewer tokens.')
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
  """Returns what the encoder reads and how much that is, or two times None."""
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
  """Returns int32 values of the prompts, then `rest` up to `count`."""
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
