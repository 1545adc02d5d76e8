"""Runs of `experiments/finetune.py`, read back from their directories."""
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

from lmjax.core import atomic
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core import trees
from lmjax.data.text import documents
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax import experiment
from lmjax.interop import runs
from lmjax import models
from lmjax.parallel import strategy as strategy_lib
from lmjax.run import directory
from lmjax.tasks import task as task_lib

_BATCHES = 32  # How many are filled from a stream before any is answered.


@dataclasses.dataclass(frozen=True)
class Answered:
  """Inputs with what a model said of them.

  Attributes:
    lines: JSON types for each input in order: its number as 'index', what is
      known of it, and what was predicted. An input without text is predicted
      None; a task of several parts has a line for each.
    examples: What was asked, without inputs that have no text.
    outputs: The model's output for each example.
    rows: The examples as rows of tokens.
  """
  lines: Sequence[dict[str, Any]]
  examples: Sequence[Any]
  outputs: Sequence[Any]
  rows: task_lib.Rows


@dataclasses.dataclass(frozen=True)
class Tuned:
  """A fine-tuned run, read back.

  Attributes:
    config: What it was trained with.
    splits: What it knows of its task, such as the names of classes; without
      examples.
    tokenizer: Text to ids and back.
    backbone: The config of the model under the head, with its vocabulary.
    model: The module, with its head.
    params: Its parameters, verified against their digests.
    step: The checkpoint they are from.
  """
  config: experiment.Finetune
  splits: task_lib.Splits
  tokenizer: tokenizer_lib.Tokenizer
  backbone: models.Config
  model: nn.Module
  params: Any
  step: int

  @property
  def digest(self) -> str:
    """SHA-256 of the parameters."""
    return trees.digest(self.params)

  def predict(self, texts: Iterable[str | Sequence[str]]
              ) -> list[dict[str, Any]]:
    """Returns the answer to each text, or to each pair of texts.

    Args:
      texts: The texts; where the task is about pairs, pairs of them.

    Returns:
      JSON types, as in `predictions.jsonl`; see `Answered.lines`.
    """
    if isinstance(texts, str):
      raise errors.InputError(
          'predict takes a list of texts; got a single str: give [text].')
    inputs = [
        task_lib.example([text] if isinstance(text, str) else text, f'text {i}')
        for i, text in enumerate(texts)]
    return list(self.stream(inputs))

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
      inputs: Texts or pairs of texts; a label is shown, and used by `judge`.
      first: The number of the first.

    Raises:
      InputError: If an input has not as many texts as the task, or a label that
        the task does not know.
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
    """Returns how well labelled inputs were answered."""
    return self.config.task.judge(
        answered.outputs, answered.examples, answered.rows, self.splits)

  @functools.cached_property
  def _outputs_of(self) -> Callable[[task_lib.Rows], list[Any]]:
    """Gives one output an example; compiled once for all calls."""
    function = predictor(self.config.task.outputs(self.model),
                         strategy_lib.strategy('jit'))
    params = jax.device_put(self.params)
    return lambda rows: function(params, rows)

  def _check(self, given: task_lib.Example) -> None:
    """Refuses an input that is no text, or not of as many as it should be."""
    for text in given.texts:
      documents.utf8(text, given.where)
    count, wanted = len(given.texts), self.splits.texts
    if any(part.texts != wanted for part in self.splits.parts):
      raise errors.InputError(
          'The run was fine-tuned together on tasks of single texts and on '
          'tasks of pairs: no input is one for all of them. Fine-tune on each '
          'task from this run (--config.init), to predict.')
    if count != wanted:
      raise errors.InputError(
          f'{given.where}: {count} text{"s" * (count != 1)}, but the run was '
          f'fine-tuned on examples of {wanted} each.')


def load(workdir: str | pathlib.Path, step: int | str = 'best') -> Tuned:
  """Reads a run directory of `experiments/finetune.py`.

  Args:
    workdir: The directory.
    step: A checkpoint's number, 'best' or 'latest'.

  Raises:
    InputError: If the directory is no run of that script, holds no sound
      checkpoint, or one whose parameters are not those of its task.
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
  return Tuned(config, splits, found.tokenizer, found.config, model,
               found.params, found.step)


def read_splits(run: directory.RunDir) -> task_lib.Splits:
  """Returns the splits of a run without examples, as `save` wrote them."""
  known = runs.read_tuned(run, run.task)
  try:
    return task_lib.Splits.of(known)
  except ValueError as error:
    raise errors.InputError(f'{run.task} is damaged: {error}.') from error


def save(run: directory.RunDir, backbone: models.Config,
         splits: task_lib.Splits) -> None:
  """Writes what `load` needs besides config, tokenizer and checkpoints."""
  atomic.write(run.backbone, config_lib.dumps(backbone))
  atomic.write(run.task, json.dumps(splits.known(), indent=2) + '\n')


def initial_params(model: nn.Module, seed: int) -> Any:
  """Returns new parameters of a model with a head."""
  row = jnp.zeros((1, 1), jnp.int32)
  return jax.jit(model.init)(
      jax.random.key(seed), row, row, row + 1)['params']


def predictor(
    outputs: Callable[[Any, task_lib.Batch], Any],
    strategy: strategy_lib.Strategy
) -> Callable[[Any, task_lib.Rows], list[Any]]:
  """Returns `outputs_of(params, rows)`: one output an example, in order.

  Args:
    outputs: `Task.outputs`; it is compiled once a row length, for all
      parameters.
    strategy: Where it runs.
  """
  function = strategy.map_batches(outputs)

  def outputs_of(params, rows):
    placed, found = strategy.place(params), {}
    for chosen, batch in rows.once():
      out = function(placed, batch)
      for row, number in enumerate(chosen.tolist()):
        if number in found:
          raise RuntimeError(f'Example {number} comes twice in a split.')
        found[number] = jax.tree.map(lambda x: x[row], out)
    if len(found) != len(rows):
      raise RuntimeError(
          f'{len(rows) - len(found)} of {len(rows)} examples never came.')
    return [found[number] for number in range(len(rows))]
  return outputs_of


def _check_params(run: directory.RunDir, model: nn.Module, params: Any) -> None:
  """Refuses parameters that are not those of a model."""
  wanted = jax.eval_shape(lambda: initial_params(model, 0))
  wanted, found = ({path: tuple(leaf.shape) for path, leaf in trees.items(tree)}
                   for tree in (wanted, params))
  for path in sorted(wanted.keys() | found.keys()):
    if wanted.get(path) != found.get(path):
      raise errors.InputError(
          f'{path} of {run.checkpoints} has shape {found.get(path)}, but '
          f'{wanted.get(path)} by {run.backbone.name}, {run.task.name} and '
          f'{run.config.name} beside it: files of another run are among them.')
