"""Rows of several tasks, whose batches take turns."""
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import functools
from typing import Any

import numpy as np

from lmjax.tasks import task as task_lib

_MARK = 'task_'  # Of the array whose name says which task a batch is of.


@dataclasses.dataclass(frozen=True)
class Share:
  """The rows of one task among those of several.

  Attributes:
    task: The place of the task.
    name: What it is called.
    places: The numbers of its examples among all, in their order.
    rows: Its rows.
    batch_size: Rows a batch.
  """
  task: int
  name: str
  places: np.ndarray
  rows: task_lib.Rows
  batch_size: int

  @property
  def turns(self) -> int:
    """In how many batches each example comes once."""
    return -(-len(self.rows) // self.batch_size)


@dataclasses.dataclass(frozen=True)
class Rows:
  """The examples of several tasks as rows of tokens; a `task.Rows`.

  Attributes:
    shares: Those of each task.
    temperature: See `turns`.
  """
  shares: tuple[Share, ...]
  temperature: float = 1.0

  def __len__(self) -> int:
    return sum(len(share.places) for share in self.shares)

  def once(self) -> Iterator[tuple[np.ndarray, task_lib.Batch]]:
    """Yields (numbers of the examples, batch), one task after another."""
    for share in self.shares:
      for chosen, batch in share.rows.once():
        yield share.places[chosen], marked(batch, share.task)

  def batches(self, seed: int) -> 'Batches':
    """Returns the training batches."""
    return Batches(
        tuple(share.rows.batches(seed) for share in self.shares), self, seed)

  def describe(self) -> str:
    """Returns what each task's rows say of themselves."""
    return '; '.join(
        f'{share.name}: {share.rows.describe()}' for share in self.shares)


@dataclasses.dataclass(frozen=True)
class Batches:
  """Training batches of several tasks in turn; a `task.Batches`.

  Steps come in rounds, in which each task has the number of `turns` that the
  rule gives it, in an order that the seed shuffles anew for each round.

  Attributes:
    parts: The batches of each task.
    rows: The rows they are of.
    seed: Of the order.
  """
  parts: tuple[task_lib.Batches, ...]
  rows: Rows
  seed: int

  def __post_init__(self):
    object.__setattr__(self, '_round', functools.lru_cache(2)(self._round))

  @functools.cached_property
  def turns(self) -> tuple[int, ...]:
    """The batches of each task in a round."""
    return turns([share.turns for share in self.rows.shares],
                 self.rows.temperature)

  @property
  def fingerprint(self) -> dict[str, Any]:
    """What the batches depend on besides the examples."""
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
    """Returns the number of the example in each row of a step's batch."""
    which, own = self._turn(step)
    places = self.rows.shares[which].places
    return [[int(places[number]) for number in row]
            for row in self.parts[which].documents(own)]

  def shard(self, index: int, count: int) -> 'Batches':
    """Returns part `index` of `count` of each batch."""
    return dataclasses.replace(self, parts=tuple(
        part.shard(index, count) for part in self.parts))

  def _turn(self, step: int) -> tuple[int, int]:
    """Returns whose turn a step is, and which of that task's own steps."""
    round_, place = divmod(step, sum(self.turns))
    order, before = self._round(round_)
    which = int(order[place])
    return which, round_ * self.turns[which] + int(before[place])

  def _round(self, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the task of each step of a round, and its turns before."""
    order = np.repeat(np.arange(len(self.turns)), self.turns)
    np.random.default_rng([self.seed, 2, number]).shuffle(order)
    before = np.zeros_like(order)
    for which, count in enumerate(self.turns):
      before[order == which] = np.arange(count)
    return order, before


def turns(sizes: Sequence[int], temperature: float) -> tuple[int, ...]:
  """Returns how many turns each task has in a round.

  A round is as long as an epoch of all tasks, sum of n_i batches. Task i has a
  share of it in proportion to n_i^(1/T), and one turn at least: at T = 1 each
  example comes once a round.

  Args:
    sizes: n_i, the batches in which each example of task i comes once.
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
  """Returns a batch that says by the name of an array which task it is of.

  Names are known when a program is compiled, so that each task has its own.
  """
  rows = len(next(iter(batch.values())))
  return {**batch, f'{_MARK}{task}': np.zeros(rows, np.int8)}


def unmarked(batch: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
  """Returns which task a batch of `marked` is of, and that task's batch."""
  mark, = (name for name in batch if name.startswith(_MARK))
  return int(mark.removeprefix(_MARK)), {
      name: x for name, x in batch.items() if name != mark}
