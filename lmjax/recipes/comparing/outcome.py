"""The outcome of a finished run, read from its directory without its weights.
"""
from collections.abc import Mapping, Sequence
import dataclasses
import pathlib
from typing import Any

import numpy as np

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.files import strict_json
from lmjax.evaluation import by_document
from lmjax.evaluation import estimates
from lmjax.evaluation import report as report_lib
from lmjax import experiment
from lmjax.interop import runs
from lmjax.run import directory

Config = experiment.Pretrain | experiment.Count | experiment.Finetune


@dataclasses.dataclass(frozen=True)
class Outcome:
  """A finished run.

  Attributes:
    run: The directory of the run.
    config: Its config.
    facts: Further entries of its report.json, such as 'tokens', 'seconds'.
    report: The model's report on held-out text; None for a fine-tuned run and
      for a model without a likelihood.
    scores: The losses of the held-out documents; None if there is no report, or
      the run is from before they were kept.
    metrics: The metrics of a fine-tuned run on its test split.
    answers: Its answers to the test examples, as in predictions.jsonl.
  """
  run: directory.RunDir
  config: Config
  facts: Mapping[str, Any]
  report: report_lib.Report | None = None
  scores: by_document.Scores | None = None
  metrics: Mapping[str, estimates.Estimate] = dataclasses.field(
      default_factory=dict)
  answers: Sequence[Mapping[str, Any]] = ()

  @property
  def tuned(self) -> bool:
    """Whether the run was fine-tuned on a task."""
    return isinstance(self.config, experiment.Finetune)

  @property
  def kind(self) -> str:
    """The kind of likelihood of the report, one of `held_out.KINDS`."""
    objective = getattr(self.config, 'objective', None)
    return 'exact' if objective is None else objective.likelihood


def read(workdir: str | pathlib.Path, below: str = '') -> Outcome:
  """Returns the outcome of a run.

  Args:
    workdir: The directory of the run.
    below: The folder in it that has the report and the losses: '' for those
      that the run wrote at its end, 'evaluation' for `evaluate.py`'s.

  Raises:
    InputError: If the directory is not a run, the run has not ended yet, or a
      file is damaged.
  """
  run = directory.RunDir(pathlib.Path(workdir))
  config = config_lib.freeze(Config, runs.read_config(run))
  folder = run.path / below
  found = _read_report(folder / run.report.name)
  if isinstance(config, experiment.Finetune):
    model = found.get('results', {}).get('model', {})
    return Outcome(run, config, found, metrics=_metrics(model),
                   answers=_answers(run.path / 'predictions.jsonl'))
  outcome = Outcome(run, config, {
      name: value for name, value in found.items()
      if name not in ('schema', 'reports', 'choices')})
  if outcome.kind == 'none':
    return outcome
  path = folder / run.held_out.name
  return dataclasses.replace(
      outcome, report=report_lib.load(folder / run.report.name)[0],
      scores=by_document.read(path) if path.exists() else None)


def titles(outcomes: Sequence[Outcome]) -> list[str]:
  """Returns a name for each run: its folder's, or its path if those repeat."""
  names = [outcome.run.path.resolve().name for outcome in outcomes]
  return names if len(set(names)) == len(names) else [
      str(outcome.run.path) for outcome in outcomes]


def _read_report(path: pathlib.Path) -> dict[str, Any]:
  """Returns the contents of a report.json."""
  if not path.exists():
    raise errors.InputError(
        f'{path} does not exist: the run has not ended, or was never '
        'evaluated. The command that started it continues it.')
  try:
    found = strict_json.read(path)
  except (OSError, ValueError) as error:
    raise errors.InputError(f'{path} cannot be read: {error}.') from None
  if not isinstance(found, dict):
    raise errors.InputError(f'{path} should hold a JSON object.')
  return found


def _metrics(result: Mapping[str, Any]) -> dict[str, estimates.Estimate]:
  """Returns the metrics of a result's `to_dict`, which have standard errors."""
  return {name: estimates.Estimate(value, result[f'{name}_stderr'])
          for name, value in result.items() if f'{name}_stderr' in result}


def _answers(path: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the lines of a predictions.jsonl; [] if it does not exist."""
  if not path.exists():
    return []
  try:
    with open(path, encoding='utf-8') as file:
      return [strict_json.loads(line) for line in file]
  except (OSError, ValueError) as error:
    raise errors.InputError(f'{path} cannot be read: {error}.') from None


@dataclasses.dataclass(frozen=True)
class Units:
  """A run's scores on the units of a test: documents, sentences or examples.

  Attributes:
    metric: Name of the mean score, such as 'nats/token'.
    noun: Name of the units in the plural.
    keys: The content of each unit, which two runs have to share.
    scores: The sum of the scores in each unit.
    weights: The size of each unit; the mean is the ratio of the sums.
    higher_is_better: Whether a higher mean is better.
  """
  metric: str
  noun: str
  keys: Sequence[Any]
  scores: np.ndarray
  weights: np.ndarray
  higher_is_better: bool = False


def documents(outcome: Outcome, metric: str) -> Units:
  """Returns the losses of a run's held-out documents.

  Args:
    outcome: A run with `scores`.
    metric: 'nats/token' or 'bits/byte'.
  """
  scores, per_byte = outcome.scores, metric == 'bits/byte'
  return Units(
      metric, 'documents', scores.texts.hashes.tolist(),
      scores.nats / np.log(2) if per_byte else scores.nats,
      scores.texts.bytes if per_byte else scores.tokens)


def examples(outcome: Outcome) -> dict[str, Units]:
  """Returns the scores of a fine-tuned run's test examples, by task.

  The task is '' unless several were trained together. An answer is right or
  wrong, or is a number with a squared error, or is a list of tags, of which a
  share is right.
  """
  groups: dict[str, list[Mapping[str, Any]]] = {}
  for answer in outcome.answers:
    groups.setdefault(str(answer.get('task', '')), []).append(answer)
  return {task: units for task, answers in groups.items()
          if (units := _of_answers(answers)) is not None}


def _of_answers(answers: Sequence[Mapping[str, Any]]) -> Units | None:
  """Returns the scores of answers; None if they are of another form."""
  keys = [str({name: value for name, value in answer.items() if name in (
      'text', 'second', 'words', 'label', 'tags')}) for answer in answers]
  ones = np.ones(len(answers))
  if all('tags' in answer for answer in answers):
    right = [sum(map(str.__eq__, answer['tags'], answer['predicted']))
             for answer in answers]
    return Units('accuracy of tags', 'sentences', keys, np.array(right, float),
                 np.array([len(answer['tags']) for answer in answers]), True)
  pairs = [(answer.get('label'), answer.get('predicted')) for answer in answers]
  if all(isinstance(value, str) for pair in pairs for value in pair):
    right = [label == predicted for label, predicted in pairs]
    return Units('accuracy', 'examples', keys, np.array(right, float), ones,
                 True)
  if all(isinstance(value, int | float) for pair in pairs for value in pair):
    return Units('squared error', 'examples', keys, np.array(
        [(label - predicted)**2 for label, predicted in pairs]), ones)
  return None
