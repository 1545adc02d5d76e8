"""Tasks of the lm-evaluation-harness: found by name, run, and reported."""
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import importlib.metadata
import json
import logging
import os
from typing import Any

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.evaluation import harness
from lmjax.evaluation import report

_SET = (  # To '1': no network, no bars, no processes forked from threads.
    'HF_HUB_OFFLINE', 'HF_DATASETS_OFFLINE', 'HF_EVALUATE_OFFLINE',
    'TRANSFORMERS_OFFLINE', 'TQDM_DISABLE', 'DISABLE_MULTIPROC')
_RESAMPLES = 1000  # For standard errors of metrics that are no means.


@dataclasses.dataclass(frozen=True)
class Score:
  """The value of one metric of one task.

  Attributes:
    task: The task, or group of tasks.
    shots: Number of solved examples in the prompt; None for a group.
    examples: Number of examples asked.
    metric: The metric.
    filter: What was made of the answers before, such as 'none'.
    value: The metric's value.
    stderr: Its standard error, or None.
  """
  task: str
  shots: int | None
  examples: int | None
  metric: str
  filter: str
  value: float
  stderr: float | None


def run(model: harness.Run, tasks: Sequence[str], include_path: str | None,
        limit: int | None = None, num_fewshot: int | None = None,
        system: str | None = None) -> dict[str, Any]:
  """Returns the results of the harness for some tasks, without a network.

  Args:
    model: The run to ask; if it has a chat template, prompts are written by it,
      and each solved example is a turn.
    tasks: Names of tasks, of groups or of tags.
    include_path: Folder with the YAML files of tasks; None takes the tasks that
      the harness itself has, whose data must be in the cache of `datasets`.
    limit: Most examples of each task; None asks all.
    num_fewshot: Solved examples in the prompt; None leaves it to the tasks.
    system: What the system says before a prompt, or None.

  Raises:
    InputError: If lm_eval is not installed, a task is unknown, or its file or
      its data cannot be read.
  """
  manager, evaluator = _library(include_path)
  known = manager.all_tasks
  for name in tasks:
    if name not in known:
      where = include_path or 'the lm-evaluation-harness'
      named = ', '.join(known[:20]) + (', ...' if known[20:] else '')
      raise errors.InputError(
          f'There is no task {name!r} in {where}, which has '
          f'{named or "none"}.{config_lib.near(name, known)}')
  try:
    loaded = manager.load(list(tasks))
  except Exception as error:  # pylint: disable=broad-exception-caught
    raise errors.InputError(
        f'The task {", ".join(tasks)} cannot be loaded '
        f'({_sentence(error)}); its file should name data that exist here, '
        'relative to the folder in which the command runs.') from error
  del loaded  # It was read to find mistakes; the harness reads it again.
  return evaluator.simple_evaluate(
      harness.model_of(model), tasks=list(tasks), task_manager=manager,
      limit=limit, num_fewshot=num_fewshot, log_samples=False,
      bootstrap_iters=_RESAMPLES, system_instruction=system,
      apply_chat_template=model.chat is not None,
      fewshot_as_multiturn=model.chat is not None,
      torch_random_seed=None)  # There need be no torch.


def _library(include_path: str | None):
  """Imports the harness; returns its tasks and its evaluator."""
  for name in _SET:  # Most are read once, when libraries are imported.
    os.environ[name] = '1'
  # It warns of every field that a task leaves to its default.
  logging.getLogger('lm_eval').setLevel(logging.ERROR)
  try:
    from lm_eval import evaluator  # pylint: disable=g-import-not-at-top
    from lm_eval import tasks  # pylint: disable=g-import-not-at-top
  except ImportError as error:
    raise errors.InputError(
        f'The lm-evaluation-harness cannot be imported ({error}); install it '
        "with: pip install 'lmjax[lm_eval]'") from error
  if include_path is not None and not os.path.isdir(include_path):
    raise errors.InputError(
        f'--include_path={include_path} should be a folder with the YAML files '
        'of tasks; there is none.')
  try:
    return tasks.TaskManager(
        include_path=include_path,
        include_defaults=include_path is None), evaluator
  except Exception as error:  # pylint: disable=broad-exception-caught
    raise errors.InputError(
        f'The files of tasks in {include_path} cannot be read '
        f'({_sentence(error)}).') from error


def _sentence(error: Exception) -> str:
  """Returns the name and the message of the exception that was the cause."""
  while error.__cause__ is not None:
    error = error.__cause__
  return f'{type(error).__name__}: {" ".join(str(error).split()):.300}'


def scores(results: Mapping[str, Any]) -> Iterator[Score]:
  """Yields the metrics of tasks, then of groups, from results of `run`."""
  for part in ('results', 'groups'):
    for task, values in results.get(part, {}).items():
      if part == 'groups' and task in results['results']:
        continue
      asked = results.get('n-samples', {}).get(task, {}).get('effective')
      for key, value in values.items():
        metric, _, name = key.partition(',')
        if not name or metric.endswith('_stderr') or (
            not isinstance(value, (int, float))):
          continue
        stderr = values.get(f'{metric}_stderr,{name}')
        yield Score(
            task, results.get('n-shot', {}).get(task), asked, metric, name,
            float(value),
            float(stderr) if isinstance(stderr, (int, float)) else None)


def table(found: Sequence[Score]):
  """Returns a `rich` table with a row for each metric."""
  columns = ('', 'shots', 'examples', 'metric', 'value', '±')
  return report.grid(columns, [(
      score.task, report.number(score.shots, 0),
      report.number(score.examples, 0),
      score.metric + ('' if score.filter == 'none' else f' ({score.filter})'),
      report.number(score.value, 4), report.number(score.stderr, 4))
                               for score in found])


def save(path: str | os.PathLike, found: Sequence[Score],
         results: Mapping[str, Any], **facts: Any) -> None:
  """Writes the scores, the versions of tasks and the harness, and facts."""
  tree = facts | {
      'lm_eval': importlib.metadata.version('lm_eval'),
      'task_versions': results.get('versions', {}),
      'scores': [dataclasses.asdict(score) for score in found]}
  atomic.write(path, json.dumps(
      report.finite(tree), indent=2, allow_nan=False) + '\n')
