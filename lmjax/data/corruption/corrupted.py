"""What all corruptions share: rows that are corrupted as they are drawn."""
from collections.abc import Callable
import dataclasses
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.data.corruption import pieces
from lmjax.data import packing


@dataclasses.dataclass(frozen=True)
class Task:
  """What a corruption makes of a prompt, as of a text but for its target.

  Attributes:
    source: Ids that are read; empty where the prompt is simply continued.
    start: Ids that the target begins with, and which are given.
    end: The id that the target ends with; None: EOS, if anything.
  """
  source: np.ndarray
  start: np.ndarray
  end: int | None = None


class Corruption:
  """A way to make a task of plain text: the base of the configs.

  A subclass says `sizes` and `corrupt`; `layout` and `last` where they differ.

  Attributes:
    joined: Whether source and target make one row, for a decoder alone.
  """
  joined = False
  last = False  # Whether the target of a row's last token belongs to it.

  def sizes(self, length: int) -> pieces.Sizes:
    """Returns how long rows become that had `length` tokens."""
    raise TypeError(f'{type(self).__name__} should define sizes.')

  def corrupt(self, tokenizer: Any, length: int) -> pieces.Corrupt:
    """Returns `corrupt(texts, draws) -> (source, target)`.

    Raises:
      InputError: If the tokenizer lacks a special id or has too few sentinels.
    """
    raise TypeError(f'{type(self).__name__} should define corrupt.')

  def layout(self) -> Callable[..., dict[str, np.ndarray]]:
    """Returns what makes a batch of source and target."""
    return pieces.joined if self.joined else pieces.pairs

  def raw_length(self, limit: int) -> int:
    """Returns the longest rows that corrupted still fit in `limit` tokens.

    Raises:
      InputError: If there are none.
    """
    for length in range(limit, 0, -1):
      sizes = self.sizes(length)
      longest = sizes.joined if self.layout() is not pieces.pairs else max(
          sizes.source, sizes.target)
      if longest <= limit:
        return length
    raise errors.InputError(
        f'{type(self).__name__} cannot fit into rows of {limit} tokens; give '
        'a larger --config.data.length.')

  def prompt(self, tokenizer: Any, ids: np.ndarray) -> Task:
    """Returns what a model trained on this is given to go on from a prompt.

    Args:
      tokenizer: Whose special ids are used.
      ids: The beginning of a document, or one with special ids where something
        is missing.

    Raises:
      InputError: If the tokenizer lacks an id, or the ids make no sense.
    """
    del tokenizer
    return Task(ids[:0], ids)

  def build(self, rows: packing.Rows, tokenizer: Any, length: int, seed: int
            ) -> packing.Rows:
    """Returns rows that are corrupted as they are drawn.

    Args:
      rows: Plain rows of `length` tokens.
      tokenizer: Whose special ids are used.
      length: Tokens a plain row.
      seed: Of the corruption, with the epoch and the index of each row.

    Raises:
      InputError: See `corrupt`.
    """
    return Corrupted(rows, self.corrupt(tokenizer, length), self.layout(),
                     self.sizes(length), seed, self.last)


class Corrupted:
  """Rows, each corrupted by its own random numbers."""

  def __init__(self, rows: packing.Rows, corrupt: pieces.Corrupt,
               layout: Callable[..., dict[str, np.ndarray]],
               sizes: pieces.Sizes, seed: int, last: bool):
    self.num_rows = rows.num_rows
    self._rows, self._corrupt, self._layout = rows, corrupt, layout
    self._sizes, self._seed, self._last = sizes, seed, last

  def rows(self, epoch: int, indices: np.ndarray) -> dict[str, np.ndarray]:
    """See `packing.Rows`; arrays are as long as `Corruption.sizes` says."""
    batch = self._rows.rows(epoch, indices)
    texts = pieces.of_rows(batch, self._last)
    draws = pieces.Draws(
        self._seed, epoch, indices, batch['inputs'].shape[1] + 1)
    source, target = self._corrupt(texts, draws)
    return self._layout(source, target, len(indices), self._sizes)

  def documents(self, epoch: int, indices: np.ndarray) -> np.ndarray:
    """See `packing.Rows`: of the tokens before they are corrupted.

    A text of which nothing is left in the row counts as none.
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


def check_rate(name: str, rate: float, least: bool = False) -> None:
  """Refuses a share that is not in [0, 1], or (0, 1) if `least`."""
  if not (0 < rate < 1 if least else 0 <= rate <= 1):
    raise errors.InputError(
        f'corruption.{name} should be '
        f'{"between 0 and 1" if least else "from 0 to 1"}; got {rate}.')


def check_documents(documents: int) -> None:
  """Refuses room for no document at all."""
  if documents < 1:
    raise errors.InputError(
        f'corruption.documents should be at least 1; got {documents}.')


def sentinels(tokenizer: Any, needed: int, what: str) -> np.ndarray:
  """Returns the first `needed` sentinel ids of the tokenizer.

  Raises:
    InputError: If it has fewer.
  """
  ids = np.asarray(tokenizer.sentinel_ids, np.int64)
  if len(ids) < needed:
    raise errors.InputError(
        f'{what} needs {needed} sentinels and the tokenizer has {len(ids)}; '
        f'set --config.data.sentinels={needed}.')
  return ids[:needed]


def hidden(tokenizer: Any, ids: np.ndarray) -> Task:
  """Returns the task of telling what sentinels hide: by default, what follows.

  Args:
    tokenizer: Whose sentinels they are.
    ids: A text with the first sentinels in their order; without any, the first
      is put at its end.

  Raises:
    InputError: If they are out of order, or the tokenizer has none.
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
