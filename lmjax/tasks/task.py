"""The protocol of a task, through which fine-tuning uses tasks of any kind."""
from collections.abc import (
    Callable, Iterable, Iterator, Mapping, Sequence)
import dataclasses
import hashlib
import os
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import numpy as np

from lmjax.core import errors
from lmjax.core import metrics as metrics_lib
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation import estimates

SPLITS = 'train', 'valid', 'test'
Batch = Mapping[str, np.ndarray]
Table = tuple[Sequence[str], Sequence[Sequence[str]]]  # Heads, rows of cells.


class Example(NamedTuple):
  """A text, or a pair of texts, with its label.

  Attributes:
    text: The text.
    label: The name of the class, or a number in digits; None if unknown.
    where: The place of the example, such as file and line, for messages.
    second: The other text of a pair, or None.
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
    """The values that results depend on."""
    return (*self.texts, self.label)


def example(texts: Sequence[str], where: str, label: str | None = None
            ) -> Example:
  """Returns the example of a text or a pair, with whitespace stripped."""
  first, *second = (text.strip() for text in texts)
  return Example(first, label and label.strip(), where, *second)


def targets(examples: Sequence[Example], labels: Sequence[str]) -> np.ndarray:
  """Returns the index of each example's label, [examples]."""
  place = {label: i for i, label in enumerate(labels)}
  return np.array([place[example.label] for example in examples], int)


def shown(example: Example) -> dict[str, str]:
  """Returns an example as JSON types, without fields that are None."""
  named = {'text': example.text, 'second': example.second,
           'label': example.label}
  return {name: value for name, value in named.items() if value is not None}


def unfitted(what: str, why: Any) -> errors.InputError:
  """Returns the error of a run whose stack lacks its baseline.

  Args:
    what: The baseline, such as 'linear classifier'.
    why: What is wrong with `Splits.fitted`.
  """
  return errors.InputError(
      f'task.stack needs the {what} that was fitted before training, in '
      f'fitted.npz of the run, but {why}. Run the command of '
      'experiments/finetune.py once more, which writes it again.')


@dataclasses.dataclass(frozen=True)
class Splits:
  """The examples of a task, whose type depends on the task.

  An example has a field `content`, a tuple of the values that results depend
  on.

  Attributes:
    train: The training examples.
    valid: The examples for early stopping.
    test: The examples for the final results, which are used once.
    labels: The names of the classes or tags; the index of a name is its id.
    notes: Sentences for the report that help to interpret the results.
    texts: Number of texts of an example: 2 if it is a pair.
    scale: Offset and unit of numeric labels in training: mean and standard
      deviation, or the lowest label and the range of labels.
    parts: The splits of each task, if tasks are trained together.
    thresholds: Numbers on which answers depend and which `Task.settled` chooses
      on the validation split, such as the score from which a question has no
      answer.
    fitted: Arrays that the task fitted to the training split besides the
      model, by name, and on which answers depend, too.
  """
  train: Sequence[Any]
  valid: Sequence[Any]
  test: Sequence[Any]
  labels: tuple[Any, ...] = ()
  notes: tuple[str, ...] = ()
  texts: int = 1
  scale: tuple[float, float] = (0.0, 1.0)
  parts: tuple['Splits', ...] = ()
  thresholds: tuple[float, ...] = ()
  fitted: Mapping[str, np.ndarray] = dataclasses.field(
      default_factory=dict, compare=False)

  def digest(self) -> str:
    """Returns the SHA-256 of all examples, in order."""
    sha = hashlib.sha256()
    for name in SPLITS:
      for example in getattr(self, name):
        sha.update(repr((name, *example.content)).encode())
    return sha.hexdigest()

  def known(self) -> dict[str, Any]:
    """Returns the fields that answers to new texts depend on: no examples.

    A run saves them as JSON, and `of` reads them back. It saves `arrays` apart.
    """
    return {field: getattr(self, field) for field in _known_fields()} | {
        'parts': [part.known() for part in self.parts]}

  def arrays(self) -> dict[str, np.ndarray]:
    """Returns the arrays of `fitted`, and of each part as 'index/name'."""
    return dict(self.fitted) | {
        f'{i}/{name}': array for i, part in enumerate(self.parts)
        for name, array in part.arrays().items()}

  def with_arrays(self, arrays: Mapping[str, np.ndarray]) -> 'Splits':
    """Returns the splits with arrays that are named as by `arrays`."""
    parts = tuple(part.with_arrays({
        name.partition('/')[2]: array for name, array in arrays.items()
        if name.startswith(f'{i}/')}) for i, part in enumerate(self.parts))
    return dataclasses.replace(self, parts=parts, fitted={
        name: array for name, array in arrays.items() if '/' not in name})

  def unread(self) -> 'Splits':
    """Returns the splits without examples and notes."""
    return Splits.of(self.known()).with_arrays(self.arrays())

  def chosen(self) -> dict[str, Any]:
    """Returns the thresholds of the task and of its parts, as JSON types."""
    return {'thresholds': list(self.thresholds),
            'parts': [part.chosen() for part in self.parts]}

  def settle(self, chosen: Any) -> 'Splits':
    """Returns the splits with the thresholds that `chosen` returned.

    Raises:
      ValueError: If it has another form, or not as many numbers.
    """
    try:
      return _settle(self, chosen)
    except (KeyError, TypeError) as error:
      raise ValueError(f'it should hold {self.chosen()}') from error

  @classmethod
  def of(cls, known: Mapping[str, Any]) -> 'Splits':
    """Returns splits without examples; see `known`.

    Raises:
      ValueError: If `known` does not have the fields and types of `known()`.
    """
    fields = _known_fields()
    if 'labels' in known:  # Runs of an older lmjax have no thresholds.
      known = {'thresholds': [], **known}
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


# The JSON types of the items of tuples in `known`.
_ITEMS = {'labels': str | int | float, 'scale': int | float, 'parts': dict,
          'thresholds': int | float}


def _settle(splits: Splits, tree: Any) -> Splits:
  """Returns splits with other thresholds; see `Splits.settle`."""
  numbers, parts = tree['thresholds'], tree['parts']
  is_like = len(parts) == len(splits.parts) and (
      len(splits.thresholds) in (0, len(numbers)))  # 0: none was chosen yet.
  if set(tree) != {'thresholds', 'parts'} or not is_like or not all(
      type(number) in (int, float) for number in numbers):
    raise ValueError(f'thresholds should be {splits.chosen()}, not {tree}')
  return dataclasses.replace(
      splits, thresholds=tuple(map(float, numbers)),
      parts=tuple(map(_settle, splits.parts, parts)))


def _known_fields() -> dict[str, Any]:
  """Returns the fields of `Splits.known`, with their defaults."""
  return {field.name: field.default for field in dataclasses.fields(Splits)
          if field.name not in (*SPLITS, 'notes', 'fitted')}


class Batches(Protocol):
  """Training batches, each a function of the step."""
  fingerprint: Mapping[str, Any]  # Values that they depend on, as JSON types.

  def __call__(self, step: int) -> Batch:
    """Returns the batch of a step."""

  @property
  def steps_per_epoch(self) -> int:
    """The number of batches that have every row once."""

  def documents(self, step: int) -> Sequence[Sequence[int]]:
    """Returns the indices of the examples in each row of a step's batch."""


class Rows(Protocol):
  """The examples of a split as rows of tokens; see `rows.Rows`."""

  def __len__(self) -> int:
    """Returns the number of examples."""

  def once(self) -> Iterator[tuple[np.ndarray, Batch]]:
    """Yields (indices of the examples, batch): each row exactly once.

    An example has one row, or several, which need not be in one batch.
    """

  def joined(self, number: int, outputs: Sequence[Any]) -> Any:
    """Returns the output of an example from the outputs of its rows.

    Args:
      number: The index of the example.
      outputs: The output of each of its rows, in the order of `once`.
    """

  def batches(self, seed: int) -> Batches:
    """Returns the training batches."""

  def describe(self) -> str:
    """Returns a description: number of examples, average length, number cut."""


class Result(Protocol):
  """The result of a model on the examples of a split.

  Attributes:
    metrics: Estimates by name, including 'loss', for the table, for early
      stopping and for the log.
    examples: Number of examples.
  """
  metrics: Mapping[str, estimates.Estimate]
  examples: int

  def pictures(self) -> Mapping[str, Callable[[str | os.PathLike, str], None]]:
    """Returns {name of a picture: function `draw(path, title)`}."""

  def tables(self) -> Mapping[str, Table]:
    """Returns {heading: (column heads, rows of cells)} of further tables.

    They are shown on the page of the model's result: where it errs, and how.
    """

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types."""


class Task(Protocol):
  """A task: its examples, model, objective and evaluation.

  A task is a frozen dataclass. Fine-tuning calls only the methods listed here,
  in this order.

  Attributes:
    batch_size: Rows per step.
    longest: Number of tokens of the longest row.
    unit: What the weight of the loss counts, in the log: 'texts' or 'words'.
  """
  batch_size: int
  longest: int
  unit: str

  def read(self) -> Splits:
    """Returns the examples.

    Raises:
      InputError: If a file, a column or a label is missing or malformed.
    """

  def texts(self, examples: Sequence[Any]) -> Iterable[str]:
    """Returns the texts that a new tokenizer is trained on."""

  def rows(self, examples: Sequence[Any], splits: Splits,
           tokenizer: tokenizer_lib.Tokenizer) -> Rows:
    """Returns examples as rows of tokens; their labels may be unknown."""

  def model(self, backbone: Any, splits: Splits) -> nn.Module:
    """Returns the backbone with the head of the task.

    The module's field `head` is the name of the head in the parameters. If it
    reads pairs, it has `tells_apart`: whether it uses which text of a pair each
    token is from.
    """

  def loss(self, model: nn.Module) -> Callable[
      ..., dict[str, metrics_lib.Mean]]:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`."""

  def outputs(self, model: nn.Module) -> Callable[[Any, Batch], Any]:
    """Returns `function(params, batch)`, which returns a tree of [B, ...]."""

  def settled(self, outputs: Callable[[], Sequence[Any]], rows: Rows,
              splits: Splits) -> Splits:
    """Returns the splits with `thresholds` chosen on the validation split.

    It is called once, after training and before the test split is judged. A
    task without thresholds returns `splits`.

    Args:
      outputs: Function that returns the best checkpoint's output for each
        validation example.
      rows: The rows of the validation examples.
      splits: The splits.
    """

  def judge(self, outputs: Sequence[Any], examples: Sequence[Any], rows: Rows,
            splits: Splits) -> Result:
    """Returns the result of the outputs, one per example."""

  def answers(self, outputs: Sequence[Any], examples: Sequence[Any],
              rows: Rows, splits: Splits) -> Iterator[dict[str, Any]]:
    """Yields each example and its answer, 'predicted', as JSON types."""

  def baselines(self, splits: Splits, rows: Rows) -> Mapping[str, Result]:
    """Returns results of simpler models on the test split, by name."""

  def examples(self, texts: Sequence[str], where: str,
               label: str | None = None) -> Sequence[Any]:
    """Returns the examples of a text or a pair of texts.

    Args:
      texts: The text, or both texts of a pair.
      where: The place of the text, for messages.
      label: The label in the form of a file; None if it is unknown.
    """
