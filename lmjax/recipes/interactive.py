"""Training from Python: `lmjax.pretrain` and `lmjax.finetune`."""
from collections.abc import Mapping, Sequence
import dataclasses
import os
import pathlib
import tempfile
from typing import Any

from lmjax.core import errors
from lmjax.evaluation import report
from lmjax import experiment
from lmjax.recipes import finetuning
from lmjax.recipes.loaded import trained
from lmjax.recipes.loaded import tuned
from lmjax.recipes import pretraining
from lmjax.recipes import results
from lmjax.recipes import tested
from lmjax.run import directory
from lmjax.run import in_memory
from lmjax.tasks import task as task_lib
from lmjax.training import writers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pretrained(trained.Trained):
  """A run that was just trained, with all that a loaded run can do.

  Attributes:
    history: The rows of metrics, each with its 'step', as in `metrics.jsonl`.
    reports: The held-out reports of the model and the baselines.
  """
  history: Sequence[Mapping[str, Any]]
  reports: Sequence[report.Report]


def pretrain(config: experiment.Pretrain,
             workdir: str | os.PathLike[str] | None = None) -> Pretrained:
  """Trains a model with `config`; in memory, unless a directory is given.

  In memory nothing is kept on disk: text is tokenized in a temporary folder,
  unless `config.data.cache` names one. The parameters are the same as with a
  directory, bit for bit: those with the best held-out loss. An interrupt
  (Ctrl-C, or the kernel's button) ends the training after the current step, and
  the run is returned as it is then; a second one raises KeyboardInterrupt.

  Args:
    config: The config of the run.
    workdir: The run directory, as of experiments/pretrain.py: an interrupt then
      saves the run and raises SystemExit, and the same call continues it.

  Raises:
    InputError: If parts of the config do not fit together, the data cannot be
      read, or the directory holds another run.
  """
  if not isinstance(config, experiment.Pretrain):
    raise errors.InputError(
        f'pretrain takes an experiment.Pretrain; got {type(config).__name__}. '
        'lmjax.finetune fine-tunes a model, recipes.counting counts one.')
  if workdir is None:
    with tempfile.TemporaryDirectory(prefix='lmjax-') as folder:
      return pretraining.pretrain(
          config, folder, in_memory.Launch(), results_of=_Results)
  reports = pretraining.pretrain(config, os.fspath(workdir))
  return Pretrained(
      **_fields(trained.load(workdir)), history=_history(workdir),
      reports=reports)


@dataclasses.dataclass(frozen=True)
class Finetuned(tuned.Tuned):
  """A run that was just fine-tuned, with all that a loaded run can do.

  Attributes:
    history: The rows of metrics, each with its 'step', as in `metrics.jsonl`.
    results: Results on the test split by name: the model's, then the
      baselines'.
  """
  history: Sequence[Mapping[str, Any]]
  results: Mapping[str, task_lib.Result]


def finetune(config: experiment.Finetune,
             workdir: str | os.PathLike[str] | None = None) -> Finetuned:
  """Fine-tunes a model; in memory, unless a directory is given.

  An interrupt ends training in memory as it does in `pretrain`.

  Args:
    config: The config of the run; `config.init` is the directory of the run to
      start from.
    workdir: The run directory, as of experiments/finetune.py.

  Raises:
    InputError: If examples, run and task do not fit together.
  """
  if not isinstance(config, experiment.Finetune):
    raise errors.InputError(
        f'finetune takes an experiment.Finetune; got {type(config).__name__}.')
  if workdir is None:
    return finetuning.finetune(config, '', in_memory.Launch(), _tuned)
  results = finetuning.finetune(config, os.fspath(workdir))
  return Finetuned(
      **_fields(tuned.load(workdir)), history=_history(workdir),
      results=results)


def _tuned(run: in_memory.Memory, found: tested.Tested) -> Finetuned:
  """Returns a run in memory, with its results; writes nothing."""
  begin = found.begin
  return Finetuned(
      found.config, found.splits.unread(),
      begin.tokenizer, begin.backbone, found.model, found.params, found.step,
      tuple(run.rows), found.results)


def _fields(run: Any) -> dict[str, Any]:
  return {field.name: getattr(run, field.name)
          for field in dataclasses.fields(run)}


def _history(workdir: str | os.PathLike[str]) -> list[dict[str, Any]]:
  return writers.read(directory.RunDir(pathlib.Path(workdir)).metrics)


class _Results(results.Results):
  """The results of a run in memory: the run itself, with its reports."""

  def conclude(self, run: in_memory.Memory, params: Any, begun: float,
               **facts: Any) -> Pretrained:
    """Returns the run, evaluated; writes nothing."""
    del begun
    parts = self.parts
    return Pretrained(
        dataclasses.replace(parts.config, model=parts.sized), parts.tokenizer,
        parts.model, params, facts['step'], history=tuple(run.rows),
        reports=self.measure(params))
