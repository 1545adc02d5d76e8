"""The base of all corruptions: rows are corrupted when they are drawn."""
from collections.abc import Callable
import dataclasses
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.data.corruption import passes
from lmjax.data.corruption import pieces
from lmjax.data import packing


@dataclasses.dataclass(frozen=True)
class Task:
  """A prompt in the form of a training text, except that its target is open.

  Attributes:
    source: Ids of the source; empty if the prompt is simply continued.
    start: Given ids with which the target begins.
    end: The id that ends the target; None is EOS, if the tokenizer has it.
  """
  source: np.ndarray
  start: np.ndarray
  end: int | None = None


class Corruption:
  """A way to turn plain text into source and target: the base of the configs.

  A subclass defines `sizes` and `corrupt`, and overrides `layout` and `last` if
  they differ.

  Attributes:
    joined: Whether source and target form one row, for a decoder alone.
    last: Whether the target of a row's last token belongs to the text.
    likelihood: The kind of likelihood that held-out text is scored by: 'span
      pseudo', by `cover`, or None for the kind of the objective.
    framed: Most texts of a row that get ids around source and target if a
      decoder starts from the tokenizer's `start_id`; see `passes.Frame`.
  """
  joined = False
  last = False
  likelihood = None
  framed = 0

  def sizes(self, length: int) -> pieces.Sizes:
    """Returns the sizes of the rows made of plain rows of `length` tokens."""
    raise TypeError(f'{type(self).__name__} should define sizes.')

  def row_sizes(self, tokenizer: Any, length: int) -> pieces.Sizes:
    """Returns `sizes`, with room for the ids of the tokenizer's frame."""
    sizes = self.sizes(length)
    framed = self.framed if self.frame(tokenizer).start else 0
    return dataclasses.replace(
        sizes, source=sizes.source + framed, target=sizes.target + framed)

  def frame(self, tokenizer: Any) -> passes.Frame:
    """Returns the ids around source and target; none in joined rows."""
    return passes.Frame() if self.joined else passes.frame(tokenizer)

  def corrupt(self, tokenizer: Any, length: int) -> pieces.Corrupt:
    """Returns `corrupt(texts, draws) -> (source, target)`.

    Raises:
      InputError: If the tokenizer lacks a special id or has too few sentinels.
    """
    raise TypeError(f'{type(self).__name__} should define corrupt.')

  def cover(self, tokenizer: Any, length: int) -> passes.Cover:
    """Returns `cover(texts, draws)`, which yields passes over texts.

    Together, the passes score each token of a text once, except for the first
    one. A pass hides about as many tokens as `corrupt` does, in spans as long.
    Each text is in a row of its own.

    Args:
      tokenizer: The tokenizer, with its special ids.
      length: Most tokens of a text.

    Raises:
      InputError: See `corrupt`.
    """
    raise TypeError(f'{type(self).__name__} hides no spans that can be scored.')

  def layout(self) -> Callable[..., dict[str, np.ndarray]]:
    """Returns the function that lays out a batch of source and target."""
    return pieces.joined if self.joined else pieces.pairs

  def raw_length(self, limit: int, tokenizer: Any) -> int:
    """Returns the length of the longest plain rows that fit when corrupted.

    Args:
      limit: Most tokens of a corrupted row, or of its source or target.
      tokenizer: The tokenizer.

    Raises:
      InputError: If even rows of one token do not fit.
    """
    for length in range(limit, 0, -1):
      sizes = self.row_sizes(tokenizer, length)
      longest = sizes.joined if self.layout() is not pieces.pairs else max(
          sizes.source, sizes.target)
      if longest <= limit:
        return length
    raise errors.InputError(
        f'{type(self).__name__} cannot fit into rows of {limit} tokens; give '
        'a larger --config.data.length.')

  def prompt(self, tokenizer: Any, ids: np.ndarray) -> Task:
    """Returns the task by which a model trained on this continues a prompt.

    Args:
      tokenizer: The tokenizer, with its special ids.
      ids: The beginning of a document, or a document with special ids in place
        of missing parts.

    Raises:
      InputError: If the tokenizer lacks a special id, or the special ids of the
        prompt are in the wrong order.
    """
    del tokenizer
    return Task(ids[:0], ids)

  def build(self, rows: packing.Rows, tokenizer: Any, length: int, seed: int
            ) -> packing.Rows:
    """Returns rows that are corrupted when they are drawn.

    Args:
      rows: Plain rows of `length` tokens.
      tokenizer: The tokenizer, with its special ids.
      length: Tokens in a plain row.
      seed: Seed of the corruption, with the epoch and the index of each row.

    Raises:
      InputError: See `corrupt`.
    """
    return Corrupted(rows, self.corrupt(tokenizer, length), self.layout(),
                     self.row_sizes(tokenizer, length), seed, self.last)


class Corrupted:
  """Rows, each corrupted by its own random numbers."""

  def __init__(self, rows: packing.Rows, corrupt: pieces.Corrupt,
               layout: Callable[..., dict[str, np.ndarray]],
               sizes: pieces.Sizes, seed: int, last: bool):
    self.num_rows = rows.num_rows
    self._rows, self._corrupt, self._layout = rows, corrupt, layout
    self._sizes, self._seed, self._last = sizes, seed, last

  def rows(self, epoch: int, indices: np.ndarray) -> dict[str, np.ndarray]:
    """See `packing.Rows`; `Corruption.row_sizes` has the arrays' lengths."""
    batch = self._rows.rows(epoch, indices)
    texts = pieces.of_rows(batch, self._last)
    draws = pieces.Draws(
        self._seed, epoch, indices, batch['inputs'].shape[1] + 1)
    source, target = self._corrupt(texts, draws)
    return self._layout(source, target, len(indices), self._sizes)

  def documents(self, epoch: int, indices: np.ndarray) -> np.ndarray:
    """See `packing.Rows`; columns are the tokens before the corruption.

    The tokens of a text that is not in the corrupted row have document -1.
    """
    found = self._rows.documents(epoch, indices)
    if not self._last:
      found[:, -1] = -1
    segments = self._rows.rows(epoch, indices)['segments']
    segments = np.concatenate([segments, segments[:, -1:]], axis=1)
    done = self.rows(epoch, indices)
    left = np.concatenate(
        [done[name] for name in ('segments', 'encoder_segments')
         if name in done], axis=1)
    for row, mine in enumerate(left):
      found[row, ~np.isin(segments[row], mine)] = -1
    return found


def sentinels(tokenizer: Any, needed: int, what: str) -> np.ndarray:
  """Returns the first `needed` sentinel ids of the tokenizer.

  Raises:
    InputError: If the tokenizer has fewer sentinels.
  """
  ids = np.asarray(tokenizer.sentinel_ids, np.int64)
  if len(ids) < needed:
    raise errors.InputError(
        f'{what} needs {needed} sentinels and the tokenizer has {len(ids)}; '
        f'set --config.data.sentinels={needed}.')
  return ids[:needed]


def hidden(tokenizer: Any, ids: np.ndarray) -> Task:
  """Returns the task of predicting the text that sentinels stand for.

  Args:
    tokenizer: The tokenizer, with sentinels.
    ids: A text with the first sentinels in their order; if it has none, the
      first sentinel is added at its end, so that the text is continued.

  Raises:
    InputError: If the sentinels are out of order, or the tokenizer has none.
  """
  every = sentinels(tokenizer, max(1, len(tokenizer.sentinel_ids)),
                    'Asking for what is missing')
  found = ids[np.isin(ids, every)]
  if not len(found):
    ids, found = np.append(ids, every[0]), every[:1]
  if not np.array_equal(found, every[:len(found)]):
    names = {id: name for name, id in tokenizer.specials.items()}
    raise errors.InputError(
        'The sentinels of a prompt should be <extra_id_0>, <extra_id_1> and so '
        f'on; got {", ".join(names[id] for id in found.tolist())}.')
  end = every[len(found):len(found) + 1].tolist()
  return Task(ids, every[:1], end[0] if end else None)
