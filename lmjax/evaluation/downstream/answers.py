"""Scores of answers to questions about texts: exact match and F1."""
from collections.abc import Callable, Sequence
import dataclasses
import functools
import math
import os
from typing import Any, NamedTuple

import numpy as np

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.evaluation.downstream import answer_tables
from lmjax.evaluation.downstream import matching
from lmjax.evaluation import estimates


class Case(NamedTuple):
  """A question with its true answers and the answer of a model.

  Attributes:
    question: The question.
    group: The number of the text that the question is about.
    answers: The true answers; () if the text has no answer.
    text: The model's best answer from the text, even if it prefers none.
    null: How much more the model prefers no answer to `text`; it answers if
      this is at most the threshold.
    nll: The loss of the question's windows, in nats; None if unknown.
  """
  question: str
  group: int
  answers: tuple[str, ...]
  text: str
  null: float
  nll: tuple[float, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Answers:
  """Compares answers with the true ones, for N questions.

  Scores are in [0, 1]. Standard errors are the jackknife's for independent
  texts, since questions about one text are not independent.

  Attributes:
    cases: The questions and answers.
    threshold: The largest `null` of a question that is answered.
    match: How texts are compared.

  References:
    Rajpurkar, Jia and Liang, Know What You Don't Know, arXiv:1806.03822, and
    the evaluation script of SQuAD 2.0.
  """
  cases: tuple[Case, ...]
  threshold: float
  match: matching.Match = matching.Squad()

  def __post_init__(self):
    if not self.cases:
      raise errors.InputError('There is no question with a known answer.')

  @property
  def examples(self) -> int:
    """Number of questions."""
    return len(self.cases)

  @functools.cached_property
  def raw_N2(self) -> np.ndarray:
    """Exact match and F1 of `text`, as if every question was answered."""
    return np.array([matching.score(self.match, case.answers, case.text)
                     for case in self.cases])

  @functools.cached_property
  def answerable_N(self) -> np.ndarray:
    """Whether each question has an answer."""
    return np.array([any(map(self.match.normal, case.answers))
                     for case in self.cases])

  @functools.cached_property
  def null_N(self) -> np.ndarray:
    """How much more the model prefers no answer; see `Case`."""
    return np.array([case.null for case in self.cases], np.float64)

  def said(self, threshold: float) -> np.ndarray:
    """Returns exact match and F1 of each question at a threshold, `[N, 2]`."""
    return np.where((self.null_N > threshold)[:, None],
                    ~self.answerable_N[:, None], self.raw_N2)

  @functools.cached_property
  def best(self) -> tuple[tuple[float, float], tuple[float, float]]:
    """The thresholds of the highest exact match and F1, with these scores."""
    return tuple(best_threshold(scores_N, self.answerable_N, self.null_N)
                 for scores_N in self.raw_N2.T)

  @functools.cached_property
  def metrics(self) -> dict[str, estimates.Estimate]:
    """F1 and exact match (em), and the mean loss if it is known.

    If some questions have no answer, there are also the scores of those with
    an answer and of those without; 'untuned' ones, at threshold 0; and 'best'
    ones, at the threshold that is best for these very questions.
    """
    found = {}
    if all(case.nll is not None for case in self.cases):
      found['loss'] = self._mean([sum(case.nll) for case in self.cases],
                                 [len(case.nll) for case in self.cases])
    found |= self._scores('', self.threshold)
    if self.answerable_N.all():
      return found
    scores_N2 = self.said(self.threshold)
    for name, chosen_N in (('answerable', self.answerable_N),
                           ('unanswerable', ~self.answerable_N)):
      found[f'{name}_f1'] = estimates.Estimate(None, why='there is none')
      if chosen_N.any():
        found[f'{name}_f1'] = self._mean(scores_N2[:, 1] * chosen_N, chosen_N)
    (em, _), (f1, _) = self.best
    best = self._scores('best_', f1)['best_f1']
    return found | self._scores('untuned_', 0.0) | {
        'best_f1': best, 'best_em': self._scores('best_', em)['best_em']}

  def pictures(self) -> dict[str, Callable[[str | os.PathLike, str], None]]:
    """Returns {title: a function that draws scores by threshold}."""
    if self.answerable_N.all():
      return {}
    return {'Threshold': lambda path, title: plot(path, self, title)}

  def tables(self) -> dict[str, answer_tables.Table]:
    """Returns tables of errors; see `answer_tables`."""
    scores_N2 = self.said(self.threshold)
    texts = [case.text if case.null <= self.threshold else ''
             for case in self.cases]
    rows = [answer_tables.Row(
        case.question, case.answers if has else (), text, em, f1,
        abs(case.null - self.threshold)) for case, has, text, (em, f1) in zip(
            self.cases, self.answerable_N, texts, scores_N2.tolist())]
    return answer_tables.tables(rows)

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types; the tables are without texts of examples."""
    shown = {name: [dict(zip(head, cells)) for cells in rows]
             for name, (head, rows) in self.tables().items()
             if name != answer_tables.WORST}
    (_, em), (f1_threshold, f1) = self.best
    return {
        'examples': self.examples, 'answerable': int(self.answerable_N.sum()),
        'threshold': self.threshold, **estimates.to_dict(self.metrics),
        'best': {'threshold': f1_threshold, 'f1': f1, 'em': em},
        'tables': shown}

  def _scores(self, prefix: str, threshold: float
              ) -> dict[str, estimates.Estimate]:
    em_N, f1_N = self.said(threshold).T
    ones_N = np.ones(self.examples)
    return {f'{prefix}f1': self._mean(f1_N, ones_N),
            f'{prefix}em': self._mean(em_N, ones_N)}

  def _mean(self, totals: Sequence[float] | np.ndarray,
            counts: Sequence[float] | np.ndarray) -> estimates.Estimate:
    """Returns the sum of totals over the sum of counts, with its error."""
    _, groups_N = np.unique(
        [case.group for case in self.cases], return_inverse=True)
    return estimates.ratio(
        *(np.bincount(groups_N, np.asarray(x, np.float64))
          for x in (totals, counts)))


def best_threshold(scores_N: np.ndarray, answerable_N: np.ndarray,
                   null_N: np.ndarray) -> tuple[float, float]:
  """Returns the threshold with the highest mean score, and this score.

  Questions whose `null` is at most the threshold are answered and have their
  score; others have score 1 if they have no answer, and 0 otherwise. The
  threshold is halfway between the `null` of two neighbouring questions. Of
  equally good ones, the smallest is returned.

  The script of SQuAD 2.0 finds the same score, if no two questions have the
  same `null`: it would answer only one of the two.

  Args:
    scores_N: The score of each question if it is answered.
    answerable_N: Whether it has an answer.
    null_N: How much more the model prefers no answer.

  Example:
    >>> has, null = np.array([True, False, True]), np.array([-3., 1., 5.])
    >>> best_threshold(np.array([1., 0., 0.5]), has, null)  # Answer the first.
    (-1.0, 0.6666666666666666)
  """
  order = np.argsort(null_N, kind='stable')
  null = null_N[order]
  gains = (scores_N - ~answerable_N)[order]
  totals = np.cumsum(np.append((~answerable_N).sum(), gains))
  # A threshold is finite, and not between two questions of the same `null`.
  possible = np.append(True, np.isfinite(null))
  possible[1:-1] &= null[1:] > null[:-1]
  totals = np.where(possible, totals, -np.inf)
  count = int(np.argmax(totals > totals.max() - 1e-9))
  lower = null[count - 1] if count else -math.inf
  upper = null[count] if count < len(null) else math.inf
  if math.isfinite(lower) and math.isfinite(upper):
    return float((lower + upper) / 2), float(totals[count] / len(null))
  ends = [end for end in (lower + 1, upper - 1) if math.isfinite(end)]
  return float((ends or [0.0])[0]), float(totals[count] / len(null))


def plot(path: str | os.PathLike, result: Answers,
         title: str = 'Threshold') -> None:
  """Draws a PNG of F1 and exact match at every threshold."""
  from matplotlib import figure  # pylint: disable=g-import-not-at-top
  null = np.unique(result.null_N[np.isfinite(result.null_N)])
  at = np.unique(np.append(
      np.quantile(null, np.linspace(0, 1, 200)) if len(null) else [],
      [0.0, result.threshold]))
  scores = np.array([result.said(threshold).mean(axis=0) for threshold in at])
  fig = figure.Figure((7, 4.5), layout='constrained')
  axes = fig.add_subplot()
  for name, colour, line in zip(
      ('exact match', 'F1'), ('#8aa4c8', '#2f6db5'), scores.T):
    axes.step(at, 100 * line, where='post', label=name, color=colour)
  axes.axvline(result.threshold, color='#d9722e', label='chosen threshold')
  axes.axvline(0, color='0.6', linestyle=':', label='threshold 0')
  axes.set_title(title, fontsize=10)
  axes.set(xlabel='threshold: the largest preference of no answer that is '
                  'still answered', ylabel='score, %')
  axes.legend(frameon=False, fontsize=9)
  axes.spines[['top', 'right']].set_visible(False)
  with atomic.opened(path, 'wb') as file:
    fig.savefig(file, dpi=120)
