"""Several tasks trained together: one backbone, and a head for each."""
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
import functools
import itertools
import math
import os
import re
from typing import Any, NamedTuple, Union

import flax.linen as nn
import numpy as np

from lmjax.core import errors
from lmjax.core import metrics as metrics_lib
from lmjax.core import ranges
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation import estimates
from lmjax import tasks as tasks_lib
from lmjax.tasks import mixing
from lmjax.tasks import task as task_lib

Kind = Union[tuple(tasks_lib.TASKS.values())]  # This excludes `Together`.


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Together:
  """Several tasks that one model learns, a batch at a time; a `task.Task`.

  Each batch is of one task. Its loss is the loss of this task, which trains the
  backbone and the task's own head. `mixing.turns` computes how often each task
  has a batch. Results have the tasks' names, such as 'valid/0/accuracy';
  'valid/loss' is the mean of the tasks' losses.

  Attributes:
    tasks: The tasks, of any other kinds; several may be of the same kind.
    names: The names of the tasks; () names them '0', '1', ...
    temperature: Temperature of the mixture. With 1, the number of a task's
      batches is proportional to its training examples; higher values make the
      numbers of batches more equal.
  """
  tasks: tuple[Kind, ...]
  names: tuple[str, ...] = ()
  temperature: ranges.Positive = 1.0

  def __post_init__(self):
    if not self.tasks:
      raise errors.InputError(
          'Together needs tasks: --config.task.tasks.0.kind=Classification '
          '--config.task.tasks.1.kind=..., and so on.')
    if self.names and len(self.names) != len(self.tasks):
      raise errors.InputError(
          f'task.names should name {len(self.tasks)} tasks; got {self.names}.')
    if len({*self.called}) < len(self.called) or not all(
        re.fullmatch(r'[\w-]+', name) for name in self.called):
      raise errors.InputError(
          'task.names should be distinct, of letters, digits, _ and -; got '
          f'{self.names}.')

  @property
  def called(self) -> tuple[str, ...]:
    """The names of the tasks."""
    return self.names or tuple(map(str, range(len(self.tasks))))

  @property
  def batch_size(self) -> int:
    """The greatest common divisor of the tasks' batch sizes."""
    return math.gcd(*(task.batch_size for task in self.tasks))

  @property
  def longest(self) -> int:
    return max(task.longest for task in self.tasks)

  @property
  def unit(self) -> str:
    units = {task.unit for task in self.tasks}
    return units.pop() if len(units) == 1 else 'examples'

  def read(self) -> task_lib.Splits:
    """Returns the examples of all tasks, one task after another."""
    parts = tuple(task.read() for task in self.tasks)
    own = {name: [Part(place, example) for place, part in enumerate(parts)
                  for example in getattr(part, name)]
           for name in task_lib.SPLITS}
    return task_lib.Splits(
        **own, notes=tuple(f'{name}: {note}'
                           for name, part in zip(self.called, parts)
                           for note in part.notes),
        texts=max(part.texts for part in parts), parts=parts)

  def texts(self, examples: Sequence['Part']) -> Iterable[str]:
    """See `task.Task`."""
    return itertools.chain.from_iterable(
        self.tasks[place].texts(_chosen(examples, places))
        for place, places in _by_task(examples).items())

  def rows(self, examples: Sequence['Part'], splits: task_lib.Splits,
           tokenizer: tokenizer_lib.Tokenizer) -> mixing.Rows:
    """See `task.Task`."""
    return mixing.Rows(tuple(
        mixing.Share(
            place, self.called[place], np.array(places),
            self.tasks[place].rows(_chosen(examples, places),
                                   splits.parts[place], tokenizer))
        for place, places in _by_task(examples).items()), self.temperature)

  def model(self, backbone: Any, splits: task_lib.Splits) -> 'Heads':
    """See `task.Task`."""
    models = [task.model(backbone, part)
              for task, part in zip(self.tasks, splits.parts)]
    return Heads(tuple(model.clone(head=f'{name}_{model.head}')
                       for name, model in zip(self.called, models)),
                 tuple(part.texts for part in splits.parts))

  def loss(self, model: 'Heads') -> Callable[..., dict[str, metrics_lib.Mean]]:
    """Returns the objective, which applies the objective of a batch's task.

    The names of its means begin with the task's name, except 'loss', which is
    minimised.
    """
    objectives = [task.loss(part)
                  for task, part in zip(self.tasks, model.parts)]

    def objective(params, batch, rng=None):
      place, own = mixing.unmarked(batch)
      found = objectives[place](params, own, rng=rng)
      return {'loss': found['loss']} | {
          f'{self.called[place]}/{name}': mean for name, mean in found.items()}
    return objective

  def outputs(self, model: 'Heads') -> Callable[[Any, Any], Any]:
    """Returns a function that returns the output of a batch's task."""
    functions = [task.outputs(part)
                 for task, part in zip(self.tasks, model.parts)]

    def function(params, batch):
      place, own = mixing.unmarked(batch)
      return functions[place](params, own)
    return function

  def settled(self, outputs: Callable[[], Sequence[Any]], rows: mixing.Rows,
              splits: task_lib.Splits) -> task_lib.Splits:
    """Returns the splits with the thresholds of each task."""
    parts, once = list(splits.parts), functools.cache(outputs)
    for share in rows.shares:
      parts[share.task] = self.tasks[share.task].settled(
          lambda share=share: _picked(once(), share.places), share.rows,
          parts[share.task])
    return dataclasses.replace(splits, parts=tuple(parts))

  def judge(self, outputs: Sequence[Any], examples: Sequence['Part'],
            rows: mixing.Rows, splits: task_lib.Splits) -> 'Result':
    """Returns the results of all tasks, by name."""
    return Result({
        share.name: self.tasks[share.task].judge(
            _picked(outputs, share.places), _chosen(examples, share.places),
            share.rows, splits.parts[share.task])
        for share in rows.shares},
                  whole=len(rows.shares) == len(self.tasks))

  def answers(self, outputs: Sequence[Any], examples: Sequence['Part'],
              rows: mixing.Rows, splits: task_lib.Splits
              ) -> Iterator[dict[str, Any]]:
    """Yields the answers to the examples, in order, with the task's name."""
    found = {
        share.task: self.tasks[share.task].answers(
            _picked(outputs, share.places), _chosen(examples, share.places),
            share.rows, splits.parts[share.task])
        for share in rows.shares}
    for place, _ in examples:
      yield {'task': self.called[place]} | next(found[place])

  def baselines(self, splits: task_lib.Splits, rows: mixing.Rows
                ) -> dict[str, 'Result']:
    """Returns the baselines of each task, with names such as '0/majority'."""
    return {
        f'{share.name}/{title}': Result({share.name: result})
        for share in rows.shares
        for title, result in self.tasks[share.task].baselines(
            splits.parts[share.task], share.rows).items()}

  def examples(self, texts: Sequence[str], where: str,
               label: str | None = None) -> list['Part']:
    """Returns an example for each task, as all tasks answer every text.

    Raises:
      InputError: If there is a label, since its task is unknown.
    """
    if label is not None:
      raise errors.InputError(
          f'{where}: label {label!r} is of one task, and the model has learned '
          f'{len(self.tasks)}: leave labels out.')
    return [Part(place, example) for place, task in enumerate(self.tasks)
            for example in task.examples(texts, where)]


class Part(NamedTuple):
  """An example with the index of its task."""
  task: int
  example: Any

  @property
  def content(self) -> tuple[Any, ...]:
    """The values that results depend on."""
    return self.task, *self.example.content


@dataclasses.dataclass(frozen=True)
class Heads:
  """The models of several tasks, which share the parameters of a backbone.

  Attributes:
    parts: The model of each task; the names of their heads are distinct.
    texts: The number of texts of an example of each task.
  """
  parts: tuple[nn.Module, ...]
  texts: tuple[int, ...]

  @property
  def tells_apart(self) -> bool:
    """Whether all models of pairs use which text each token is from."""
    return all(part.tells_apart
               for part, texts in zip(self.parts, self.texts) if texts > 1)

  def init(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Returns the variables of all parts, which share the backbone's."""
    found = [part.init(*args, **kwargs)['params'] for part in self.parts]
    return {'params': functools.reduce(lambda a, b: a | b, found)}


@dataclasses.dataclass(frozen=True)
class Result:
  """The results of several tasks; a `task.Result`.

  Attributes:
    parts: The result of each task, by name.
    whole: Whether all tasks have a result, so that there is a mean loss.
  """
  parts: Mapping[str, task_lib.Result]
  whole: bool = False

  @property
  def examples(self) -> int:
    """The number of examples of all tasks."""
    return sum(result.examples for result in self.parts.values())

  @property
  def metrics(self) -> dict[str, estimates.Estimate]:
    """The mean of the tasks' losses, and their metrics, as 'name/metric'."""
    found = {name: result.metrics for name, result in self.parts.items()}
    losses = [metrics['loss'] for metrics in found.values() if self.whole]
    return ({'loss': _mean(losses)} if losses else {}) | {
        f'{name}/{metric}': estimate for name, metrics in found.items()
        for metric, estimate in metrics.items()}

  def pictures(self) -> dict[str, Callable[[str | os.PathLike, str], None]]:
    """Returns the pictures of all tasks, with names such as '0-Confusion'."""
    return {f'{name}-{title}': functools.partial(_drawn, draw, name)
            for name, result in self.parts.items()
            for title, draw in result.pictures().items()}

  def tables(self) -> dict[str, task_lib.Table]:
    """Returns the tables of all tasks, with headings that begin with a name.
    """
    return {f'{name}: {heading}': table for name, result in self.parts.items()
            for heading, table in result.tables().items()}

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types: the mean loss, and each task's result."""
    own = {name: estimate for name, estimate in self.metrics.items()
           if '/' not in name}
    return {'examples': self.examples} | estimates.to_dict(own) | {
        'tasks': {name: result.to_dict()
                  for name, result in self.parts.items()}}


def _mean(losses: Sequence[estimates.Estimate]) -> estimates.Estimate:
  """Returns the mean of estimates from different examples."""
  count, value, stderr = len(losses), None, None
  if all(loss.value is not None for loss in losses):
    value = math.fsum(loss.value for loss in losses) / count
  if all(loss.stderr is not None for loss in losses):
    stderr = math.hypot(*(loss.stderr for loss in losses)) / count
  return estimates.Estimate(value, stderr)


def _drawn(draw, name, path, title):
  draw(path, f'{title}, {name}')


def _by_task(examples: Sequence[Part]) -> dict[int, list[int]]:
  """Returns {index of a task: indices of its examples}."""
  found = {}
  for number, example in enumerate(examples):
    found.setdefault(example.task, []).append(number)
  return dict(sorted(found.items()))


def _picked(values: Sequence[Any], places: Iterable[int]) -> list[Any]:
  return [values[place] for place in places]


def _chosen(examples: Sequence[Part], places: Iterable[int]) -> list[Any]:
  """Returns the examples at some indices, without the index of their task."""
  return [part.example for part in _picked(examples, places)]
