"""The protocol of a task: what fine-tuning is handed, whatever its kind."""
from collections.abc import (
    Callable, Iterable, Iterator, Mapping, Sequence)
import dataclasses
import hashlib
import os
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import numpy as np

from lmjax.core import metrics as metrics_lib
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation import estimates

SPLITS = 'train', 'valid', 'test'
Batch = Mapping[str, np.ndarray]


class Example(NamedTuple):
  """A text, or a pair of texts, with its label.

  Attributes:
    text: The text.
    label: The name of its class, or a number in digits; None if unknown.
    where: File and line, or the like, for messages.
    second: The other text of a pair.
  """
  text: str
  label: str | None
  where: str
  second: str | None = None

  @property
  def texts(self) -> tuple[str, ...]:
    """The text, or both texts of a pair."""
    return (self.text,) if self.second is None else (self.text, self.second)

  @property
  def content(self) -> tuple[str | None, ...]:
    """All that results depend on."""
    return (*self.texts, self.label)


def example(texts: Sequence[str], where: str, label: str | None = None
            ) -> Example:
  """Returns the example of a text or of a pair, without whitespace around."""
  first, *second = (text.strip() for text in texts)
  return Example(first, label and label.strip(), where, *second)


def shown(example: Example) -> dict[str, str]:
  """Returns an example as JSON types, without what it lacks."""
  named = {'text': example.text, 'second': example.second,
           'label': example.label}
  return {name: value for name, value in named.items() if value is not None}


@dataclasses.dataclass(frozen=True)
class Splits:
  """The examples of a task; their type is known to the task alone.

  An example has `content`, a tuple of all that results depend on.

  Attributes:
    train: The examples to learn from.
    valid: The examples that early stopping looks at.
    test: The examples that are reported on, once.
    labels: The names of the classes or tags; the place of each is its id.
    notes: Sentences that a reader of the numbers should know.
    texts: How many texts an example has: 2 if it is a pair.
    scale: Mean and standard deviation in training of labels that are numbers.
    parts: The splits of each task, of tasks that are trained together.
  """
  train: Sequence[Any]
  valid: Sequence[Any]
  test: Sequence[Any]
  labels: tuple[Any, ...] = ()
  notes: tuple[str, ...] = ()
  texts: int = 1
  scale: tuple[float, float] = (0.0, 1.0)
  parts: tuple['Splits', ...] = ()

  def digest(self) -> str:
    """Returns the SHA-256 of all examples, in their order."""
    sha = hashlib.sha256()
    for name in SPLITS:
      for example in getattr(self, name):
        sha.update(repr((name, *example.content)).encode())
    return sha.hexdigest()

  def known(self) -> dict[str, Any]:
    """Returns what answers to new texts depend on: all but the examples.

    A run keeps it as JSON, and `of` reads it back.
    """
    return {field: getattr(self, field) for field in _known_fields()} | {
        'parts': [part.known() for part in self.parts]}

  @classmethod
  def of(cls, known: Mapping[str, Any]) -> 'Splits':
    """Returns splits without examples; see `known`.

    Raises:
      ValueError: If `known` is not what the method of that name returns.
    """
    fields = _known_fields()
    if set(known) != set(fields):
      raise ValueError(f'it should hold {fields}, not {list(known)[:20]}')
    for name, default in fields.items():
      value, is_good = known[name], isinstance(known[name], type(default))
      if isinstance(default, tuple):
        is_good = isinstance(value, list | tuple) and all(
            isinstance(item, _ITEMS[name]) for item in value
        ) and len(default) in (0, len(value))
      if not is_good:
        raise ValueError(f'{name} is {value!r:.60}')
    known = {**known, 'parts': [cls.of(part) for part in known['parts']]}
    return cls((), (), (), **{
        name: tuple(value) if isinstance(value, list) else value
        for name, value in known.items()})


# What the tuples among the known fields hold, as JSON types.
_ITEMS = {'labels': str | int | float, 'scale': int | float, 'parts': dict}


def _known_fields() -> dict[str, Any]:
  """Returns the fields of `Splits` that need no example, with their defaults.
  """
  return {field.name: field.default for field in dataclasses.fields(Splits)
          if field.name not in (*SPLITS, 'notes')}


class Batches(Protocol):
  """Training batches, each a function of the step."""
  fingerprint: Mapping[str, Any]  # What they depend on, by field, as JSON.

  def __call__(self, step: int) -> Batch:
    """Returns the batch of a step."""

  def documents(self, step: int) -> Sequence[Sequence[int]]:
    """Returns the numbers of the examples in each row of a step's batch."""


class Rows(Protocol):
  """The examples of a split as rows of tokens; see `rows.Rows`."""

  def __len__(self) -> int:
    """Returns the number of examples."""

  def once(self) -> Iterator[tuple[np.ndarray, Batch]]:
    """Yields (numbers of the examples, batch): each example exactly once."""

  def batches(self, seed: int) -> Batches:
    """Returns the training batches."""

  def describe(self) -> str:
    """Returns how many there are, how long, and how many were cut."""


class Result(Protocol):
  """How well a model does a task on the examples of a split.

  Attributes:
    metrics: Estimates by name, the loss among them as 'loss', for the table,
      for early stopping and for the log.
    examples: How many examples they are over.
  """
  metrics: Mapping[str, estimates.Estimate]
  examples: int

  def pictures(self) -> Mapping[str, Callable[[str | os.PathLike, str], None]]:
    """Returns functions `draw(path, title)` by the name of their picture."""

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types."""


class Task(Protocol):
  """What is learned, from which examples, by which head, and how it is judged.

  A task is a frozen dataclass. The recipe calls its methods in the order in
  which they stand here, and knows nothing else of it.

  Attributes:
    batch_size: Rows a step.
    longest: Tokens of the longest row.
  """
  batch_size: int
  longest: int

  def read(self) -> Splits:
    """Returns the examples.

    Raises:
      InputError: If a file, a column or a label is missing or malformed.
    """

  def texts(self, examples: Sequence[Any]) -> Iterable[str]:
    """Returns the texts that a new tokenizer learns from."""

  def rows(self, examples: Sequence[Any], splits: Splits,
           tokenizer: tokenizer_lib.Tokenizer) -> Rows:
    """Returns examples as rows of tokens; their labels may be unknown."""

  def model(self, backbone: Any, splits: Splits) -> nn.Module:
    """Returns the backbone with the head of the task on it.

    Its field `head` is the name under which the head's parameters are. One that
    reads pairs has `tells_apart`: whether it knows which text of a pair each
    token is from.
    """

  def loss(self, model: nn.Module) -> Callable[
      ..., dict[str, metrics_lib.Mean]]:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`."""

  def outputs(self, model: nn.Module) -> Callable[[Any, Batch], Any]:
    """Returns `function(params, batch)`, which gives a tree of [B, ...]."""

  def judge(self, outputs: Sequence[Any], examples: Sequence[Any], rows: Rows,
            splits: Splits) -> Result:
    """Returns how well outputs, one an example, answer the examples."""

  def answers(self, outputs: Sequence[Any], examples: Sequence[Any],
              rows: Rows, splits: Splits) -> Iterator[dict[str, Any]]:
    """Yields each example with its answer as 'predicted', as JSON types."""

  def baselines(self, splits: Splits, rows: Rows) -> Mapping[str, Result]:
    """Returns results of simpler models on the test split, by name."""

  def examples(self, texts: Sequence[str], where: str,
               label: str | None = None) -> Sequence[Any]:
    """Returns the examples that a text or a pair of texts makes.

    Args:
      texts: The text, or both texts of a pair.
      where: Its place, for messages.
      label: Its label as a file holds it; None if it is to be predicted.
    """
