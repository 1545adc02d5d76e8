"""Weights & Biases."""
from collections.abc import Mapping
import dataclasses
import html
import json
import pathlib
from typing import Any, ClassVar, Literal

import numpy as np

from lmjax.core.files import atomic
from lmjax.core.files import strict_json

_IDENTITY = 'wandb.json'


@dataclasses.dataclass(frozen=True)
class WandB:
  """Weights & Biases. The key is read from WANDB_API_KEY, as by `wandb login`.

  Attributes:
    project: The project of the run.
    entity: The user or team that owns the project; None takes the default.
    group: The group of the run, such as the name of a sweep, or None.
    tags: The tags of the run.
    mode: Whether to send rows ('online') or to keep them in the directory of
      the run for `wandb sync` ('offline'); None takes WANDB_MODE, or 'online'.
  """
  project: str = 'lmjax'
  entity: str | None = None
  group: str | None = None
  tags: tuple[str, ...] = ()
  mode: Literal['online', 'offline'] | None = None
  package: ClassVar[str | None] = 'wandb'
  extra: ClassVar[str | None] = 'wandb'

  def open(self, path: pathlib.Path, start: int) -> 'Run':
    """See `tracker.Config`; the run's id is kept in wandb.json."""
    del start  # W&B keeps the rows that it has, which are the same.
    import wandb  # Slow to import, and of an extra.
    kept = path / _IDENTITY
    known = strict_json.read(kept)['id'] if kept.exists() else None
    run = wandb.init(
        project=self.project, entity=self.entity, group=self.group,
        tags=self.tags or None, name=path.name, id=known, resume='allow',
        mode=self.mode, dir=str(path),
        settings=wandb.Settings(
            silent=True, console='off',
            # The command line and the environment may hold secrets.
            x_disable_meta=True, disable_code=True, disable_git=True))
    if known is None:
      atomic.write(kept, json.dumps({'id': run.id}) + '\n')
    return Run(run)


class Run:
  """Writes to a run of W&B; see `tracker.Tracker`."""

  def __init__(self, run: Any):
    """Writes to `run`, the result of `wandb.init`."""
    self._run = run

  def write(self, step: int, row: Mapping[str, Any]) -> None:
    self._run.log({name: value for name, value in row.items()
                   if not isinstance(value, str)}, step=step)

  def describe(self, config: Mapping[str, Any]) -> None:
    self._run.config.update(dict(config), allow_val_change=True)

  def text(self, step: int, name: str, text: str) -> None:
    import wandb
    # Without `step`, since W&B drops what is added to an earlier step.
    self._run.log({f'{name} of step {step}': wandb.Html(
        f'<pre>{html.escape(text)}</pre>', inject=False)})

  def histogram(self, step: int, name: str, counts: np.ndarray,
                edges: np.ndarray) -> None:
    import wandb
    self._run.log({name: wandb.Histogram(
        np_histogram=(counts.tolist(), edges.tolist()))}, step=step)

  def close(self) -> None:
    self._run.finish()
