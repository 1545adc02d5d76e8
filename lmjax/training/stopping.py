"""The best step so far, and when to give up hoping for a better one."""
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from lmjax.core import config
from lmjax.core import errors


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
  """Ends a run whose held-out metric has stopped improving.

  Attributes:
    metric: One of the names that `evaluate` returns.
    patience: Evaluations without improvement before the run ends; None never
      ends it, and only remembers the best step.
    min_delta: What counts as an improvement.
    higher_is_better: For an accuracy rather than a loss.
  """
  metric: str = 'valid/loss'
  patience: int | None = None
  min_delta: float = 0.0
  higher_is_better: bool = False

  def score(self, row: Mapping[str, float]) -> float:
    """Returns the metric of an evaluation, so that lower is better."""
    if self.metric not in row:
      raise errors.InputError(
          f'EarlyStopping.metric is {self.metric!r}, but the evaluation '
          f'returns {sorted(row)}.{config.near(self.metric, row)}')
    value = float(row[self.metric])
    if math.isnan(value):
      return math.inf
    return -value if self.higher_is_better else value


@dataclasses.dataclass
class Progress:
  """What a run knows besides its state; saved with every checkpoint.

  Attributes:
    tokens: Trained on so far.
    best: Lowest score, see `EarlyStopping.score`.
    best_step: Its step.
    waited: Evaluations since then.
    scores: Of all evaluations so far.
    skipped: Bad steps so far, which changed nothing.
    bad_in_a_row: Those since the last good one.
    interval: The steps that no row has been written of yet: [number, digest of
      the batch, {name: [total, weight]}].
  """
  tokens: float = 0.0
  best: float | None = None
  best_step: int | None = None
  waited: int = 0
  scores: list[float] = dataclasses.field(default_factory=list)
  skipped: int = 0
  bad_in_a_row: int = 0
  interval: list[list[Any]] = dataclasses.field(default_factory=list)

  def update(self, step: int, score: float, rule: EarlyStopping) -> bool:
    """Takes in an evaluation; returns whether it is the best so far."""
    self.scores = [*self.scores, score]
    if self.best is None or score < self.best - rule.min_delta:
      self.best, self.best_step, self.waited = score, step, 0
      return True
    self.waited += 1
    return False

  def exhausted(self, rule: EarlyStopping) -> bool:
    """Returns whether patience has run out."""
    return rule.patience is not None and self.waited >= rule.patience
