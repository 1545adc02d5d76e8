"""Early stopping, and the progress that is saved with every checkpoint."""
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from lmjax.core import config
from lmjax.core import errors
from lmjax.core import ranges


@dataclasses.dataclass(frozen=True)
@ranges.checked
class EarlyStopping:
  """Ends a run when a held-out metric has stopped improving.

  Attributes:
    metric: Name of the metric, one of those that `evaluate` returns.
    patience: Number of evaluations without improvement that end the run; None
      only keeps track of the best step.
    min_delta: Smallest change of the metric that counts as an improvement.
    higher_is_better: Whether a higher metric is better, as for an accuracy.
  """
  metric: str = 'valid/loss'
  patience: ranges.Count | None = None
  min_delta: ranges.NonNegative = 0.0
  higher_is_better: bool = False

  def score(self, row: Mapping[str, float]) -> float:
    """Returns the metric of an evaluation, so that lower is better."""
    if self.metric not in row:
      raise errors.InputError(
          f'training.stop.metric is {self.metric!r}, but the evaluation '
          f'returns {sorted(row)}.{config.near(self.metric, row)}')
    value = float(row[self.metric])
    if math.isnan(value):
      return math.inf
    return -value if self.higher_is_better else value


@dataclasses.dataclass
class Progress:
  """The progress of a run outside its state; saved with every checkpoint.

  Attributes:
    tokens: Number of tokens trained on so far.
    best: Lowest score so far, see `EarlyStopping.score`.
    best_step: Step of the lowest score.
    waited: Number of evaluations since the best step.
    scores: Scores of all evaluations so far.
    skipped: Number of bad steps so far, whose updates were skipped.
    bad_in_a_row: Number of bad steps since the last good one.
    interval: Steps whose metrics are not in a row yet: [number, digest of the
      batch, {name: [total, weight]}].
    rows: Number of rows written so far.
  """
  tokens: float = 0.0
  best: float | None = None
  best_step: int | None = None
  waited: int = 0
  scores: list[float] = dataclasses.field(default_factory=list)
  skipped: int = 0
  bad_in_a_row: int = 0
  interval: list[list[Any]] = dataclasses.field(default_factory=list)
  rows: int = 0

  def update(self, step: int, score: float, rule: EarlyStopping) -> bool:
    """Adds an evaluation's score; returns whether it is the best so far."""
    self.scores = [*self.scores, score]
    if self.best is None or score < self.best - rule.min_delta:
      self.best, self.best_step, self.waited = score, step, 0
      return True
    self.waited += 1
    return False

  def exhausted(self, rule: EarlyStopping) -> bool:
    """Returns whether patience has run out."""
    return rule.patience is not None and self.waited >= rule.patience
