"""Compares models and objectives on the same data with the same compute."""
from collections.abc import Callable, Sequence
import dataclasses
import json
import os
import pathlib
import time
from typing import Any

import jax
import numpy as np

from lmjax.core import allocator
from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core.files import durable
from lmjax.core.files import safe_paths
from lmjax.core.files import strict_json
from lmjax.evaluation import embeddings
from lmjax.evaluation import probe
from lmjax.evaluation import report
from lmjax import experiment
from lmjax.recipes.loaded import trained
from lmjax.recipes import prepared
from lmjax.run import directory
from lmjax.tasks.baselines import classes as baselines
from lmjax.tasks.readers.texts import speakers
from lmjax.training import step as step_lib

COLUMNS = ('', 'steps', 'tokens', 'likelihood', 'bits/byte', 'held-out loss',
           'probe accuracy')
# Behind a number, so that no line crosses it.
_PAPER = {'facecolor': 'white', 'edgecolor': 'none', 'pad': 0}


@dataclasses.dataclass(frozen=True)
class Row:
  """The results of one model and objective.

  Attributes:
    name: The name of the model and objective.
    steps: Number of training steps; 0 for a counted model.
    tokens: Positions seen in training.
    likelihood: The kind of `bits_per_byte`, one of `held_out.KINDS`.
    bits_per_byte: Bits per byte of held-out text; None if the objective defines
      no likelihood.
    loss: The objective's loss on held-out rows, or None.
    probe: Accuracy of a linear probe on the frozen vectors, or None.
  """
  name: str
  steps: int
  tokens: int
  likelihood: str
  bits_per_byte: float | None
  loss: float | None
  probe: float | None

  def cells(self) -> list[str]:
    """Returns the cells of the table, in the order of `COLUMNS`."""
    return [self.name, f'{self.steps:,}', f'{self.tokens:,}', self.likelihood,
            report.number(self.bits_per_byte, 4), report.number(self.loss, 4),
            report.number(self.probe, 3)]


def steps_within(config: experiment.Pretrain, workdir: str, seconds: float,
                 timed: int = 8) -> int:
  """Returns the number of training steps in some seconds of processor time.

  Processor time is summed over all threads, so other work on the machine has
  little influence. Compilation and evaluation are not counted.

  Args:
    config: The config of the run.
    workdir: The directory where its data are cached.
    seconds: Processor time in seconds.
    timed: Number of steps to time, after one step that compiles.
  """
  allocator.keep_pages()
  parts = prepared.prepare(config, workdir)
  update = jax.jit(lambda state, batch: step_lib.train_step(
      state, batch, objective=parts.objective, optimizer=parts.optimizer)[0],
                   donate_argnums=0)
  state = jax.block_until_ready(
      update(parts.initial_state(), parts.batches(0)))
  begun = time.process_time()
  for i in range(timed):
    state = jax.block_until_ready(update(state, parts.batches(i + 1)))
  return max(1, int(seconds * timed / (time.process_time() - begun)))


def within(config: experiment.Pretrain, workdir: str, cpu_minutes: float
           ) -> experiment.Pretrain:
  """Returns the config with the number of steps for a budget of CPU minutes.

  The measured number is saved in the directory, so that a continued run has the
  same number of steps.
  """
  path = pathlib.Path(workdir) / 'steps.json'
  if not path.exists():
    steps = steps_within(config, workdir, 60 * cpu_minutes)
    durable.make_folder(path.parent)
    atomic.write(path, json.dumps(
        {'cpu_minutes': cpu_minutes, 'steps': steps}) + '\n')
  try:
    found = strict_json.read(safe_paths.safe_join(workdir, path.name))
    if type(found['steps']) is not int or found['steps'] < 1:
      raise ValueError('its steps are no number')
  except (OSError, ValueError, LookupError, TypeError) as error:
    raise errors.InputError(
        f'{path} cannot be read ({error}); delete it to measure again.'
    ) from None
  if found.get('cpu_minutes') != cpu_minutes:
    path.unlink()
    return within(config, workdir, cpu_minutes)
  warmup = min(config.optimizer.schedule.warmup, found['steps'] // 10)
  schedule = dataclasses.replace(config.optimizer.schedule, warmup=warmup)
  return dataclasses.replace(
      config,
      optimizer=dataclasses.replace(config.optimizer, schedule=schedule),
      training=dataclasses.replace(
          config.training, steps=found['steps'],
          eval_every=max(1, found['steps'] // 4)))


def probed(embed: Callable[[Sequence[str]], np.ndarray],
           paragraphs: Sequence[str]) -> float:
  """Returns the accuracy of a linear probe that predicts the speaker.

  Every speech of the held-out text is tested once, in five-fold
  cross-validation, so pretraining has seen neither the texts nor the split.
  """
  examples, names = speakers.read(paragraphs)
  vectors = embed([example.text for example in examples])
  labels = np.array([names.index(example.label) for example in examples])
  right = [
      probe.fit(vectors[train], labels[train], penalty=30.0).accuracy(
          vectors[test], labels[test]) * len(test)
      for train, test in speakers.folds(examples)]
  return sum(right) / len(examples)


def probe_baselines(paragraphs: Sequence[str]) -> dict[str, float]:
  """Returns the accuracy of each baseline of classification, by name."""
  examples, names = speakers.read(paragraphs)
  found = {}
  for name, baseline in baselines.BASELINES.items():
    right = 0
    for train, test in speakers.folds(examples):
      logits = baseline.fit([examples[i] for i in train], names)(
          [examples[i].text for i in test])
      right += sum(names[row.argmax()] == examples[i].label
                   for row, i in zip(logits, test))
    found[name] = right / len(examples)
  return found


def vectors_of(run: trained.Trained) -> Callable[[Sequence[str]], np.ndarray]:
  """Returns the function from texts to mean-pooled hidden states of a run."""
  return lambda texts: embeddings.embed(
      run.model, run.params, run.tokenizer, texts)


def untrained(config: experiment.Pretrain, workdir: str
              ) -> Callable[[Sequence[str]], np.ndarray]:
  """Returns the same function for a model with initial parameters."""
  parts = prepared.prepare(config, workdir)
  params = parts.initial_params()
  return lambda texts: embeddings.embed(
      parts.model, params, parts.tokenizer, texts)


def row_of(name: str, workdir: str, paragraphs: Sequence[str]) -> Row:
  """Reads the row of a finished run from its directory."""
  run = trained.load_any(workdir)
  found = strict_json.read(directory.RunDir(pathlib.Path(workdir)).report)
  own = None if run.kind == 'none' else report.Report.from_dict(
      found['reports'][0]).bits_per_byte
  counted = isinstance(run, trained.Counted)
  return Row(
      name, 0 if counted else run.config.training.steps, int(found['tokens']),
      run.kind, own, found.get('held_out', {}).get('loss'),
      None if counted else probed(vectors_of(run), paragraphs))


def show(rows: Sequence[Row], notes: str) -> None:
  """Prints the table."""
  report.display(report.grid(COLUMNS, [row.cells() for row in rows], notes))


def save(path: str | os.PathLike, rows: Sequence[Row], **facts: Any) -> None:
  """Writes the table as JSON, whole or not at all."""
  atomic.write(path, json.dumps(report.finite(
      {'rows': [dataclasses.asdict(row) for row in rows]} | facts),
                                indent=2) + '\n')


def plot(path: str | os.PathLike, rows: Sequence[Row],
         baselines_of_probe: dict[str, float], title: str) -> None:
  """Plots bits per byte and probe accuracy as bars into a PNG file."""
  from matplotlib import figure  # Slow to import, and only needed here.
  kinds = {'exact': '#2f6db5', 'bound': '#7fa9d8', 'conditional': '#3f9b6d',
           'permutation': '#8a5fb0', 'pseudo': '#d9702b',
           'span pseudo': '#c9a227', 'none': '#bbbbbb'}
  picture = figure.Figure(
      figsize=(10, 1.6 + 0.27 * len(rows)), dpi=150, layout='constrained')
  left, right = picture.subplots(1, 2, sharey=True)
  places = np.arange(len(rows))[::-1]
  for axes, field in (left, 'bits_per_byte'), (right, 'probe'):
    values = [getattr(row, field) for row in rows]
    for place, row, value in zip(places, rows, values):
      if value is not None:
        axes.barh(place, value, color=kinds[row.likelihood], height=0.7)
        axes.text(value, place, f' {value:.3g}', va='center', fontsize=7,
                  bbox=_PAPER)
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(axis='x', color='#dddddd', linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(x=0.1)
  left.set_yticks(places, [row.name for row in rows], fontsize=8)
  left.set_xlabel('bits per byte of held-out text (lower is better)')
  right.set_xlabel('probe accuracy (higher is better)')
  lines = [right.axvline(value, color='#333333', linestyle=style, linewidth=1,
                         label=f'probe: {name}')
           for (name, value), style in zip(
               baselines_of_probe.items(), ('-', '--', ':'))]
  present = {row.likelihood for row in rows}
  bars = [left.barh(0, 0, color=color, label=f'likelihood: {kind}')
          for kind, color in kinds.items() if kind in present]
  picture.legend(handles=[*bars, *lines], fontsize=7, frameon=False,
                 loc='outside lower center', ncols=5)
  picture.suptitle(title, fontsize=10)
  with atomic.opened(path, 'wb') as file:
    picture.savefig(file)
