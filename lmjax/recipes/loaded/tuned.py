"""Loads runs of `experiments/finetune.py` from their directories."""
from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
import functools
import itertools
import json
import pathlib
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core import trees
from lmjax.data import documents
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax import experiment
from lmjax.interop import runs
from lmjax import models
from lmjax.models.counted import archive
from lmjax.nn import readout
from lmjax.parallel import strategy as strategy_lib
from lmjax.recipes.loaded import asking
from lmjax.run import directory
from lmjax.tasks import task as task_lib

_FITTED = 'fitted task'  # The kind of archive with the arrays of a task.
_BATCHES = 32  # Number of batches of inputs that a stream reads at a time.


@dataclasses.dataclass(frozen=True)
class Answered:
  """Inputs with a model's answers.

  Attributes:
    lines: A dict of JSON types for each input, in order: its number as 'index',
      its text, its label if known, and the answer as 'predicted', which is None
      for an input without text. Tasks trained together each have a line.
    examples: The examples that were answered: all inputs with a text.
    outputs: The model's output for each example.
    rows: The examples as rows of tokens.
  """
  lines: Sequence[dict[str, Any]]
  examples: Sequence[Any]
  outputs: Sequence[Any]
  rows: task_lib.Rows


@dataclasses.dataclass(frozen=True)
class Tuned(asking.Run):
  """A fine-tuned run, loaded from its directory.

  Attributes:
    config: The config of the run.
    splits: Facts about the task, such as the names of classes; no examples.
    tokenizer: Maps text to ids and back.
    backbone: The config of the model under the head, with its vocabulary size.
    model: The module, with its head.
    params: The module's parameters, verified against their digests.
    step: The step of the checkpoint that the parameters are from.
  """
  config: experiment.Finetune
  splits: task_lib.Splits
  tokenizer: tokenizer_lib.Tokenizer
  backbone: models.Config
  model: nn.Module
  params: Any
  step: int
  instead = (
      'It was fine-tuned on a task and models no text any more: predict '
      'answers texts, and embed returns their vectors.')

  @property
  def digest(self) -> str:
    """SHA-256 of the parameters."""
    return trees.digest(self.params)

  def predict(self, texts: str | Iterable[str | Sequence[str]]
              ) -> dict[str, Any] | list[dict[str, Any]]:
    """Returns the answer to each text, or to each pair of texts.

    Args:
      texts: Texts, or pairs of texts if the task is about pairs; or one text.

    Returns:
      JSON types, as in `predictions.jsonl`; see `Answered.lines`. One text has
      one answer, or a list of those of tasks trained together.
    """
    if isinstance(texts, str):
      answers = self.predict([texts])
      return answers[0] if len(answers) == 1 else answers
    inputs = []
    for i, given in enumerate(texts):
      parts = (given,) if isinstance(given, str) else given
      is_text = isinstance(parts, list | tuple) and parts and all(
          isinstance(part, str) for part in parts)
      if not is_text:
        raise errors.InputError(
            f'text {i} should be a text or a pair of texts; got {given!r:.60}.')
      inputs.append(task_lib.example(parts, f'text {i}'))
    return list(self.stream(inputs))

  def embed(self, texts: str | Sequence[str],
            pooling: readout.Pooling | None = None) -> np.ndarray:
    """Returns the vector of a text, or of each text; see `embeddings.embed`.

    Args:
      texts: One text, or several.
      pooling: How tokens are pooled; None takes their mean.
    """
    return asking.embed(
        self.backbone.build(), self.params, self.tokenizer, texts,
        readout.Readout(pooling or 'mean'))

  def stream(self, inputs: Iterable[task_lib.Example]
             ) -> Iterator[dict[str, Any]]:
    """Yields the lines of inputs, a few batches at a time; see `Answered`."""
    inputs, first = iter(inputs), 0
    while some := list(itertools.islice(
        inputs, _BATCHES * self.config.task.batch_size)):
      yield from self.answer(some, first).lines
      first += len(some)

  def answer(self, inputs: Sequence[task_lib.Example], first: int = 0
             ) -> Answered:
    """Returns the answers to inputs, all read at once.

    Args:
      inputs: Texts or pairs of texts. Labels are copied to the lines, and used
        by `judge`.
      first: The number of the first input.

    Raises:
      InputError: If an input has a different number of texts than the task's
        examples, or a label that is not one of the task's.
    """
    task, lines, examples, numbers = self.config.task, [], [], []
    for number, given in enumerate(inputs):
      self._check(given)
      lines.append([])
      if not all(text.strip() for text in given.texts):
        lines[number] = [task_lib.shown(given) | {'predicted': None}]
        continue
      asked = task.examples(given.texts, given.where, given.label)
      examples += asked
      numbers += [number] * len(asked)
    rows = task.rows(examples, self.splits, self.tokenizer)
    outputs = self._outputs_of(rows)
    if examples:
      answers = task.answers(outputs, examples, rows, self.splits)
      for number, answer in zip(numbers, answers, strict=True):
        lines[number].append(answer)
    return Answered(
        [{'index': index} | line for index, some in enumerate(lines, first)
         for line in some], examples, outputs, rows)

  def judge(self, answered: Answered) -> task_lib.Result:
    """Returns the metrics of the answers to labelled inputs."""
    return self.config.task.judge(
        answered.outputs, answered.examples, answered.rows, self.splits)

  @functools.cached_property
  def _outputs_of(self) -> Callable[[task_lib.Rows], list[Any]]:
    """Returns one output per example; compiled once for all calls."""
    function = predictor(self.config.task.outputs(self.model),
                         strategy_lib.strategy('jit'))
    params = jax.device_put(self.params)
    return lambda rows: function(params, rows)

  def _check(self, given: task_lib.Example) -> None:
    """Raises InputError for invalid Unicode or a wrong number of texts."""
    for text in given.texts:
      documents.utf8(text, given.where)
    count, wanted = len(given.texts), self.splits.texts
    if any(part.texts != wanted for part in self.splits.parts):
      raise errors.InputError(
          'The run was fine-tuned on tasks of single texts together with tasks '
          'of pairs, so no input is suitable for all. Fine-tune on one of '
          'the tasks from this run (--config.init) and predict with that run.')
    if count != wanted:
      raise errors.InputError(
          f'{given.where}: {count} text{"s" * (count != 1)}, but the run was '
          f'fine-tuned on examples of {wanted} each.')


def load(workdir: str | pathlib.Path, step: int | str = 'best') -> Tuned:
  """Reads a run directory of `experiments/finetune.py`.

  Args:
    workdir: The directory.
    step: A checkpoint's number, 'best' or 'latest'. Thresholds were chosen for
      one checkpoint, the best one; others have the thresholds of training.

  Raises:
    InputError: If the directory is not a run of that script, has no intact
      checkpoint, or has parameters that do not fit the task.
  """
  run = directory.RunDir(pathlib.Path(workdir))
  tree = runs.read_config(run)
  if not runs.is_tuned(tree):
    raise errors.InputError(
        f'{workdir} is no fine-tuned run but one of experiments/pretrain.py: '
        'fine-tune it first (experiments/finetune.py --config.init='
        f'{workdir}), or continue text with it (experiments/generate.py).')
  config = config_lib.freeze(experiment.Finetune, tree)
  splits = read_splits(run)
  found = runs.backbone(workdir, step)
  model = config.task.model(found.config, splits)
  _check_params(run, model, found.params)
  splits = _settled(run, splits, found.step)
  return Tuned(config, splits, found.tokenizer, found.config, model,
               found.params, found.step)


def read_splits(run: directory.RunDir) -> task_lib.Splits:
  """Returns the splits of a run, without examples, as written by `save`."""
  known = runs.read_tuned(run, run.task)
  try:
    splits = task_lib.Splits.of(known)
  except ValueError as error:
    raise errors.InputError(f'{run.task} is damaged: {error}.') from error
  if not run.fitted.is_file():
    return splits
  return splits.with_arrays(archive.load(run.fitted, _FITTED)[1])


def save(run: directory.RunDir, backbone: models.Config,
         splits: task_lib.Splits) -> None:
  """Writes the files that `load` needs in addition to those of every run."""
  atomic.write(run.backbone, config_lib.dumps(backbone))
  atomic.write(run.task, json.dumps(splits.known(), indent=2) + '\n')
  if arrays := splits.arrays():
    archive.save(run.fitted, _FITTED, {}, arrays)


def save_thresholds(run: directory.RunDir, splits: task_lib.Splits, step: int
                    ) -> None:
  """Writes the thresholds that were chosen for a step, if there are any."""
  if splits.chosen() == read_splits(run).chosen():
    return
  atomic.write(run.thresholds, json.dumps(
      {'step': step} | splits.chosen(), indent=2) + '\n')


def initial_params(model: nn.Module, seed: int) -> Any:
  """Returns new parameters of a model with a head."""
  row = jnp.zeros((1, 1), jnp.int32)
  return jax.jit(model.init)(
      jax.random.key(seed), row, row, row + 1)['params']


def predictor(
    outputs: Callable[[Any, task_lib.Batch], Any],
    strategy: strategy_lib.Strategy
) -> Callable[[Any, task_lib.Rows], list[Any]]:
  """Returns `outputs_of(params, rows)`: one output per example, in order.

  Args:
    outputs: The function from `Task.outputs`; it is compiled once per row
      length, for all parameters.
    strategy: How devices are used.
  """
  function = strategy.map_batches(outputs)

  def outputs_of(params, rows):
    placed, found = strategy.place(params), {}
    for chosen, batch in rows.once():
      out = function(placed, batch)
      for row, number in enumerate(chosen.tolist()):
        found.setdefault(number, []).append(
            jax.tree.map(lambda x: x[row], out))
    if len(found) != len(rows):
      raise RuntimeError(
          f'{len(rows) - len(found)} of {len(rows)} examples never came.')
    return [rows.joined(number, found[number]) for number in range(len(rows))]
  return outputs_of


def blank(outputs: Callable[[Any, task_lib.Batch], Any]
          ) -> Callable[[Any, task_lib.Rows], list[Any]]:
  """Returns a function like `predictor`'s, whose outputs are zeros.

  It traces the outputs on shapes and computes nothing, so that a task can judge
  examples before training, to see whether it is able to.

  Args:
    outputs: The function from `Task.outputs`.
  """
  function = jax.jit(outputs)

  def outputs_of(params, rows):
    found = {}
    for chosen, batch in rows.once():
      one = jax.tree.map(lambda x: np.zeros(x.shape[1:], x.dtype),
                         jax.eval_shape(function, params, batch))
      for number in chosen.tolist():
        found.setdefault(number, []).append(one)
    return [rows.joined(number, found[number]) for number in range(len(rows))]
  return outputs_of


def _settled(run: directory.RunDir, splits: task_lib.Splits, step: int
             ) -> task_lib.Splits:
  """Returns the splits with the thresholds chosen for a step, if any were."""
  if not run.thresholds.is_file():
    return splits
  chosen = runs.read_tuned(run, run.thresholds)
  if chosen.pop('step', None) != step:
    return splits  # They are of a checkpoint with other parameters.
  try:
    return splits.settle(chosen)
  except ValueError as error:
    raise errors.InputError(
        f'{run.thresholds} is damaged: {error}. Run the command of '
        'experiments/finetune.py once more, which writes it again.') from error


def _check_params(run: directory.RunDir, model: nn.Module, params: Any) -> None:
  """Raises InputError if names or shapes of parameters are not the model's."""
  wanted = jax.eval_shape(lambda: initial_params(model, 0))
  wanted, found = ({path: tuple(leaf.shape) for path, leaf in trees.items(tree)}
                   for tree in (wanted, params))
  for path in sorted(wanted.keys() | found.keys()):
    if wanted.get(path) != found.get(path):
      has, should = (
          f'has shape {shapes[path]}' if path in shapes else 'is missing'
          for shapes in (found, wanted))
      raise errors.InputError(
          f'{path} {has} in {run.checkpoints}, but {should} according to '
          f'{run.backbone.name}, '
          f'{run.task.name} and {run.config.name} next to it: some of these '
          'files are from another run.')
