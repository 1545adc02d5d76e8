"""Where a model reads the source of a text: apart from it, or before it."""
from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.generation import prompts as prompts_lib
from lmjax.tasks import rows as rows_lib


@dataclasses.dataclass(frozen=True)
class Apart:
  """An encoder reads the source, and a decoder writes the target.

  The encoder reads the source as a document of its tokenizer. The decoder
  starts from the tokenizer's `start_id`, as the decoder of a published model
  does, and from what begins a document, such as BOS. It starts from the id that
  ends targets if the tokenizer has neither.
  """

  def check(self, backbone: Any) -> None:
    """Raises InputError if the backbone has no encoder for a source."""
    if not backbone.traits.reads_source:
      raise errors.InputError(
          f'task.layout = Apart needs a model with an encoder and a decoder, '
          f'which {type(backbone).__name__} is not: choose '
          '--config.model.kind=EncoderDecoderConfig, or for a decoder '
          '--config.task.layout.kind=Joined.')

  def longest(self, source: int, target: int) -> int:
    """Returns the most tokens that the model reads in one row."""
    return max(source, target)

  def source(self, ids: np.ndarray, longest: int,
             tokenizer: tokenizer_lib.Tokenizer) -> tuple[np.ndarray, bool]:
    """Returns the row of a source, and whether its end was cut off."""
    row = rows_lib.layout([ids], longest, tokenizer)
    return row.ids, row.cut

  def start(self, tokenizer: tokenizer_lib.Tokenizer) -> list[int]:
    """Returns the ids that the decoder reads before a target."""
    first = [] if tokenizer.start_id is None else [tokenizer.start_id]
    return [*first, *tokenizer.frame().before] or [end(tokenizer)]

  def batch(self, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray],
            start: Sequence[int], shape: tuple[int, int, int]
            ) -> dict[str, np.ndarray]:
    """Returns the arrays of a batch; see `given_source.hidden`.

    Args:
      sources: The rows of the sources.
      targets: The ids of the targets, the last of which ends a text.
      start: The ids from `start`.
      shape: Number of rows, and of tokens of a source and of a target; rows
        without a source are padding.
    """
    rows, source, target = shape
    sizes_B1 = _sizes(sources, rows)
    sources_BS, columns_1S = _padded(sources, rows, source)
    encoded_BS = columns_1S < sizes_B1
    first = len(start)
    whole_BT, columns_1T = _padded(
        [np.concatenate([start, each]) for each in targets], rows,
        first + target)
    ends_B1 = np.where(sizes_B1 > 0, first + _sizes(targets, rows), 0)
    read_BT = columns_1T[:, :-1] < np.maximum(ends_B1 - 1, (
        sizes_B1 > 0) * first)
    return {
        'encoder_inputs': sources_BS, 'encoder_positions': (
            columns_1S * encoded_BS),
        'encoder_segments': encoded_BS.astype(np.int32),
        'inputs': whole_BT[:, :-1] * read_BT,
        'positions': columns_1T[:, :-1] * read_BT,
        'segments': read_BT.astype(np.int32), 'targets': whole_BT[:, 1:],
        'weights': ((columns_1T[:, 1:] >= first)
                    & (columns_1T[:, 1:] < ends_B1)).astype(np.float32),
        'start': np.tile(np.array(start, np.int32), (rows, 1))}

  def prompts(self, batch: Mapping[str, jax.Array], asked_B: jax.Array,
              room: int) -> prompts_lib.Padded:
    """Returns what the drawn tokens continue, for rows that are asked."""
    start_BT, segments_BS = batch['start'], batch['encoder_segments']
    return prompts_lib.Padded(
        start_BT, asked_B * start_BT.shape[1], room, batch['ends'],
        sources_BS=batch['encoder_inputs'],
        source_lengths_B=jnp.sum(segments_BS, axis=1))


@dataclasses.dataclass(frozen=True)
class Joined:
  """A decoder reads the source, a separator and the target in one row.

  Attributes:
    separator: The text between source and target.
    both_ways: Whether the tokens of source and separator see each other both
      ways, as in a prefix language model; if not, each sees those before it.

  References:
    Liu et al., Generating Wikipedia by Summarizing Long Sequences,
    arXiv:1801.10198, section 4.2; Raffel et al., T5, arXiv:1910.10683, section
    3.2.1 (both ways).
  """
  separator: str = ' =>'
  both_ways: bool = False

  def check(self, backbone: Any) -> None:
    """Raises InputError if the backbone cannot read both in one row."""
    traits, name = backbone.traits, type(backbone).__name__
    if traits.reads_source:
      raise errors.InputError(
          f'task.layout = Joined is for a decoder, and {name} has an encoder '
          'for sources: choose --config.task.layout.kind=Apart.')
    if not (traits.causal and traits.cached):
      raise errors.InputError(
          f'Writing text needs a causal model, and {name} as configured reads '
          'both ways: choose --config.model.kind=DecoderConfig with '
          'causal=True, or EncoderDecoderConfig with '
          '--config.task.layout.kind=Apart.')
    if self.both_ways and not traits.attends:
      raise errors.InputError(
          f'task.layout.both_ways needs attention, and {name} as configured '
          'reads one way: set --config.task.layout.both_ways=False.')

  def longest(self, source: int, target: int) -> int:
    """Returns the most tokens that the model reads in one row."""
    return source + target

  def source(self, ids: np.ndarray, longest: int,
             tokenizer: tokenizer_lib.Tokenizer) -> tuple[np.ndarray, bool]:
    """Returns the row of a source, and whether its end was cut off.

    The separator is never cut.

    Raises:
      InputError: If a row has no room for a source beside the separator.
    """
    before = tokenizer.frame().before
    separator = tokenizer.encode(self.separator)
    room = longest - len(before) - len(separator)
    if room < 1:
      raise errors.InputError(
          f'task.features.lengths end at {longest} tokens, of which the '
          f'separator {self.separator!r} takes {len(separator)}: no room is '
          'left for a source; raise the lengths.')
    row = np.concatenate([before, ids[:room], separator]).astype(np.int32)
    return row, len(ids) > room

  def start(self, tokenizer: tokenizer_lib.Tokenizer) -> list[int]:
    """Returns no ids: a target follows its source."""
    del tokenizer
    return []

  def batch(self, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray],
            start: Sequence[int], shape: tuple[int, int, int]
            ) -> dict[str, np.ndarray]:
    """Returns the arrays of a batch; see `Apart.batch`."""
    del start
    rows, source, target = shape
    sizes_B1, targets_B1 = _sizes(sources, rows), _sizes(targets, rows)
    prompts_BS, _ = _padded(sources, rows, source)
    whole_BR, columns_1R = _padded(
        [np.concatenate(pair) for pair in zip(sources, targets)], rows,
        source + target)
    whole_BR, columns_1R = whole_BR[:, :-1], columns_1R[:, :-1]
    read_BR = columns_1R < np.maximum(sizes_B1 + targets_B1 - 1, sizes_B1)
    targets_BT, columns_1T = _padded(targets, rows, target)
    found = {
        'inputs': whole_BR * read_BR, 'positions': columns_1R * read_BR,
        'segments': read_BR.astype(np.int32), 'targets': targets_BT,
        'places': np.clip(
            sizes_B1 - 1 + columns_1T, 0, whole_BR.shape[1] - 1),
        'weights': (columns_1T < targets_B1).astype(np.float32),
        'prompt': prompts_BS, 'prompt_sizes': sizes_B1[:, 0]}
    if self.both_ways:
      found['prefix'] = (columns_1R < sizes_B1).astype(np.int32)
    return found

  def prompts(self, batch: Mapping[str, jax.Array], asked_B: jax.Array,
              room: int) -> prompts_lib.Padded:
    """Returns what the drawn tokens continue, for rows that are asked."""
    prompt_BS, sizes_B = batch['prompt'], batch['prompt_sizes']
    width = prompt_BS.shape[1]
    # Prompts are aligned at their ends.
    from_BS = jnp.arange(width)[None] - (width - sizes_B)[:, None]
    aligned_BS = jnp.where(from_BS >= 0, jnp.take_along_axis(
        prompt_BS, jnp.maximum(from_BS, 0), axis=1), 0)
    lengths_B = sizes_B * asked_B
    return prompts_lib.Padded(
        aligned_BS, lengths_B, room, batch['ends'],
        both_ways_B=lengths_B if self.both_ways else None)


Layout = Apart | Joined


def end(tokenizer: tokenizer_lib.Tokenizer) -> int:
  """Returns the id that ends a target.

  Raises:
    InputError: If the tokenizer has none.
  """
  if tokenizer.eos_id is not None:
    return tokenizer.eos_id
  if after := tokenizer.frame().after:
    return after[-1]
  raise errors.InputError(
      'A text that is written has to end, and the tokenizer has no EOS: set '
      '--config.tokenizer.eos=True, or start from a run whose tokenizer has '
      'one.')


def _sizes(rows: Sequence[np.ndarray], count: int) -> np.ndarray:
  """Returns the sizes of rows, `[count, 1]`, with 0 for those missing."""
  sizes = np.zeros((count, 1), np.int32)
  sizes[:len(rows), 0] = [len(row) for row in rows]
  return sizes


def _padded(rows: Sequence[np.ndarray], count: int, length: int
            ) -> tuple[np.ndarray, np.ndarray]:
  """Returns rows padded to `[count, length]`, and the columns, `[1, length]`.
  """
  out = np.zeros((count, length), np.int32)
  for i, row in enumerate(rows):
    out[i, :len(row)] = row
  return out, np.arange(length, dtype=np.int32)[None]
