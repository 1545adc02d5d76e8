"""MLflow."""
from collections.abc import Mapping
import dataclasses
import json
import pathlib
import time
from typing import Any, ClassVar

import numpy as np

from lmjax.core.files import atomic
from lmjax.core.files import strict_json

_IDENTITY = 'mlflow.json'
_LONGEST = 6000  # Characters of a parameter that MLflow accepts.
_BATCH = 100  # Parameters that it accepts at a time.


@dataclasses.dataclass(frozen=True)
class MLflow:
  """MLflow. It has no histograms, so none are written.

  Attributes:
    uri: The tracking server, such as 'http://localhost:5000', or a store such
      as 'sqlite:///runs.db', which needs the whole package `mlflow`; None takes
      MLFLOW_TRACKING_URI, or MLflow's default.
    experiment: The name of the experiment, which is created if it is new.
  """
  uri: str | None = None
  experiment: str = 'lmjax'
  package: ClassVar[str | None] = 'mlflow'
  extra: ClassVar[str | None] = 'mlflow'

  def open(self, path: pathlib.Path, start: int) -> 'Run':
    """See `tracker.Config`; the run's id is kept in mlflow.json."""
    del start  # The rows that the store has are not written again.
    import mlflow  # Slow to import, and of an extra.
    client = mlflow.MlflowClient(self.uri)
    kept = path / _IDENTITY
    if kept.exists():
      run = client.get_run(strict_json.read(kept)['run_id'])
      client.update_run(run.info.run_id, 'RUNNING')
      return Run(client, run.info.run_id)
    found = client.get_experiment_by_name(self.experiment)
    run = client.create_run(
        found.experiment_id if found else client.create_experiment(
            self.experiment), run_name=path.name)
    atomic.write(kept, json.dumps({'run_id': run.info.run_id}) + '\n')
    return Run(client, run.info.run_id)


class Run:
  """Writes to a run of MLflow; see `tracker.Tracker`."""

  def __init__(self, client: Any, run_id: str):
    """Writes to a run.

    Args:
      client: An `MlflowClient`.
      run_id: The id of the run.
    """
    self._client, self._id = client, run_id
    self._written: dict[str, int] = {}  # The last step of each metric.

  def write(self, step: int, row: Mapping[str, Any]) -> None:
    from mlflow import entities
    now = int(1000 * time.time())
    self._client.log_batch(self._id, metrics=[
        entities.Metric(name, float(value), now, step)
        for name, value in row.items()
        if not isinstance(value, str) and step > self._last(name)])

  def describe(self, config: Mapping[str, Any]) -> None:
    from mlflow import entities
    # A parameter cannot change; those of the first start are kept.
    known = self._client.get_run(self._id).data.params
    params = [entities.Param(name, str(value)[:_LONGEST])
              for name, value in config.items() if name not in known]
    for first in range(0, len(params), _BATCH):
      self._client.log_batch(self._id, params=params[first:first + _BATCH])

  def text(self, step: int, name: str, text: str) -> None:
    self._client.log_text(self._id, text, f'{name}/step_{step}.txt')

  def histogram(self, step: int, name: str, counts: np.ndarray,
                edges: np.ndarray) -> None:
    """Writes nothing, as MLflow has no histograms."""

  def close(self) -> None:
    self._client.set_terminated(self._id)

  def _last(self, name: str) -> int:
    """Returns the last step at which the store had a metric; -1 if never."""
    if name not in self._written:
      steps = [each.step for each in self._client.get_metric_history(
          self._id, name)]
      self._written[name] = max(steps, default=-1)
    return self._written[name]
