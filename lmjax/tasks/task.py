"""What a downstream task is: a plain value that a script is handed."""
from collections.abc import Sequence
import dataclasses
from typing import Any, NamedTuple


class Example(NamedTuple):
  """One labelled text."""
  text: str
  label: str
  where: str  # File and line, or the like, for messages.


@dataclasses.dataclass(frozen=True)
class Splits:
  """The examples of a task.

  Attributes:
    train: What is learned from.
    valid: What early stopping looks at.
    test: What is reported, once.
    labels: The names of the classes; the place of each is its id.
    notes: What a reader of the numbers should know, a sentence each.
  """
  train: Sequence[Example]
  valid: Sequence[Example]
  test: Sequence[Example]
  labels: tuple[str, ...]
  notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Task:
  """Where examples come from, what the model sees, learns and is judged by.

  Each part is a frozen config of its own, and a new task is a new value, or a
  new file with a part that none of the others has.

  Attributes:
    source: `read() -> Splits`.
    features: `build(tokenizer, labels)` -> what turns examples into batches.
    objective: `build(model)` -> what training minimises.
    metrics: What the model's outputs are turned into.
  """
  source: Any
  features: Any
  objective: Any
  metrics: Any
