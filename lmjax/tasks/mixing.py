"""Rows and batches of several tasks; each batch is of one task."""
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import functools
from typing import Any

import numpy as np

from lmjax.tasks import task as task_lib

_MARK = 'task_'  # Prefix of the array whose name has the task of a batch.


@dataclasses.dataclass(frozen=True)
class Share:
  """The rows of one of several tasks.

  Attributes:
    task: The index of the task.
    name: The name of the task.
    places: The indices of the task's examples among all examples, in order.
    rows: The rows of the task.
  """
  task: int
  name: str
  places: np.ndarray
  rows: task_lib.Rows


@dataclasses.dataclass(frozen=True)
class Rows:
  """The examples of several tasks as rows of tokens; a `task.Rows`.

  Attributes:
    shares: The rows of each task.
    temperature: Temperature of the mixture; see `turns`.
  """
  shares: tuple[Share, ...]
  temperature: float = 1.0

  def __len__(self) -> int:
    return sum(len(share.places) for share in self.shares)

  def once(self) -> Iterator[tuple[np.ndarray, task_lib.Batch]]:
    """Yields (indices of the examples, batch), one task after another."""
    for share in self.shares:
      for chosen, batch in share.rows.once():
        yield share.places[chosen], marked(batch, share.task)

  def joined(self, number: int, outputs: Sequence[Any]) -> Any:
    """Returns the output of an example from the outputs of its rows."""
    share, place = self._place[number]
    return share.rows.joined(place, outputs)

  @functools.cached_property
  def _place(self) -> dict[int, tuple[Share, int]]:
    """The task of each example, and the index among the task's examples."""
    return {number: (share, place) for share in self.shares
            for place, number in enumerate(share.places.tolist())}

  def batches(self, seed: int) -> 'Batches':
    """Returns the training batches."""
    return Batches(
        tuple(share.rows.batches(seed) for share in self.shares), self, seed)

  def describe(self) -> str:
    """Returns the descriptions of each task's rows."""
    return '; '.join(
        f'{share.name}: {share.rows.describe()}' for share in self.shares)


@dataclasses.dataclass(frozen=True)
class Batches:
  """Training batches of several tasks; a `task.Batches`.

  Steps are grouped into rounds. In each round every task has the number of
  batches in `turns`; their order is shuffled for each round.

  Attributes:
    parts: The batches of each task.
    rows: The rows of the batches.
    seed: Seed of the order.
  """
  parts: tuple[task_lib.Batches, ...]
  rows: Rows
  seed: int

  def __post_init__(self):
    object.__setattr__(self, '_round', functools.lru_cache(2)(self._round))

  @functools.cached_property
  def turns(self) -> tuple[int, ...]:
    """The number of batches of each task in a round."""
    return turns([part.steps_per_epoch for part in self.parts],
                 self.rows.temperature)

  @property
  def steps_per_epoch(self) -> int:
    """The number of batches in a round."""
    return sum(self.turns)

  @property
  def fingerprint(self) -> dict[str, Any]:
    """The values that the batches depend on, in addition to the examples."""
    found = {'training.seed': self.seed, 'task.turns': list(self.turns)}
    for share, part in zip(self.rows.shares, self.parts):
      found |= {field.replace('task.', f'task.tasks.{share.task}.', 1): value
                for field, value in part.fingerprint.items()}
    return found

  def __call__(self, step: int) -> dict[str, np.ndarray]:
    """Returns the batch of a step."""
    which, own = self._turn(step)
    return marked(self.parts[which](own), self.rows.shares[which].task)

  def documents(self, step: int) -> list[list[int]]:
    """Returns the index of the example in each row of a step's batch."""
    which, own = self._turn(step)
    places = self.rows.shares[which].places
    return [[int(places[number]) for number in row]
            for row in self.parts[which].documents(own)]

  def shard(self, index: int, count: int) -> 'Batches':
    """Returns part `index` of `count` of each batch."""
    return dataclasses.replace(self, parts=tuple(
        part.shard(index, count) for part in self.parts))

  def _turn(self, step: int) -> tuple[int, int]:
    """Returns the task of a step, and the number of the task's own step."""
    round_, place = divmod(step, self.steps_per_epoch)
    order, before = self._round(round_)
    which = int(order[place])
    return which, round_ * self.turns[which] + int(before[place])

  def _round(self, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the task of each step of a round, and its earlier batches."""
    order = np.repeat(np.arange(len(self.turns)), self.turns)
    np.random.default_rng([self.seed, 2, number]).shuffle(order)
    before = np.zeros_like(order)
    for which, count in enumerate(self.turns):
      before[order == which] = np.arange(count)
    return order, before


def turns(sizes: Sequence[int], temperature: float) -> tuple[int, ...]:
  """Returns the number of batches of each task in a round.

  A round has about as many batches as an epoch of all tasks, the sum of n_i.
  The share of task i is proportional to n_i^(1/T), and at least one batch. With
  T = 1 each example comes once per round.

  Args:
    sizes: n_i, the number of batches in an epoch of task i.
    temperature: T.

  References:
    Raffel et al., Exploring the Limits of Transfer Learning with a Unified
    Text-to-Text Transformer, arXiv:1910.10683, section 3.5.2.

  Example:
    >>> turns([90, 10], 1.0), turns([90, 10], 2.0), turns([90, 10], 1e9)
    ((90, 10), (75, 25), (50, 50))
  """
  sizes = np.asarray(sizes, np.float64)
  shares = (sizes / sizes.max()) ** (1 / temperature)
  counts = np.rint(shares / shares.sum() * sizes.sum()).astype(int)
  return tuple(np.maximum(counts, 1).tolist())


def marked(batch: task_lib.Batch, task: int) -> dict[str, Any]:
  """Returns a batch with an additional array whose name contains the task.

  Names are static under `jit`, so each task has its own compiled program.
  """
  rows = len(next(iter(batch.values())))
  return {**batch, f'{_MARK}{task}': np.zeros(rows, np.int8)}


def unmarked(batch: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
  """Undoes `marked`; returns the index of the task and the task's batch."""
  mark, = (name for name in batch if name.startswith(_MARK))
  return int(mark.removeprefix(_MARK)), {
      name: x for name, x in batch.items() if name != mark}
