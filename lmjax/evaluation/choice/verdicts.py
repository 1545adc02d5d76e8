"""The verdict on a question: is the right option the most likely one?"""
from collections.abc import Iterator, Sequence
import math
from typing import NamedTuple

import numpy as np

from lmjax.evaluation.choice import rules as choice_rules
from lmjax.evaluation.choice import wording


class Verdict(NamedTuple):
  """The numbers of a question; None where they do not apply.

  Attributes:
    credit: 1 if the right option is the most likely one, 0 if not; between them
      if options tie and share it.
    credit_norm: The same with losses divided by the size of the option.
    credit_calibrated: The same after calibration by texts without content.
    changed: Whether the forms of the question prefer different options.
    nats: Mean loss of the right option over the forms.
    nonfinite: Whether a loss is NaN or infinite; no credit is then given.
  """
  credit: float
  credit_norm: float
  credit_calibrated: float | None
  changed: float | None
  nats: float
  nonfinite: bool


def of(how: choice_rules.Rule, forms: Sequence[wording.Form],
       losses: Iterator[np.ndarray]) -> Verdict:
  """Returns the verdict on a question.

  With l(y) the loss of option y and e_c(y) its loss after text c without
  content, the calibrated loss of one form is l(y) + log mean_c exp(-e_c(y)).
  Several forms are averaged as probabilities that sum to 1 over the options.

  Args:
    how: The rule by which options are compared.
    forms: The forms of the question.
    losses: Iterator over the losses of each form's options, [K]: as asked, then
      after each text without content.

  References:
    Zhao et al., Calibrate Before Use, arXiv:2102.09690, section 5. Holtzman et
    al., Surface Form Competition, arXiv:2104.08315, equation 3 (PMI given a
    domain). Zheng et al., arXiv:2309.03882, section 2.5 (cyclic permutations).
  """
  plain_FK, norm_FK, calibrated_FK = [], [], []
  for form in forms:
    plain_K = next(losses)
    sizes_K = [how.size(text) for text in form.asked.continuations]
    plain_FK.append(plain_K)
    norm_FK.append(plain_K / sizes_K)
    empty_CK = np.array([next(losses) for _ in form.empty])
    if len(empty_CK):
      calibrated_FK.append(plain_K + _log_mean(-empty_CK))
  gold = forms[0].asked.gold
  credit = lambda some_FK: _credit(how, _averaged(some_FK), gold)
  preferred = {int(np.argmin(plain_K)) for plain_K in plain_FK}
  return Verdict(
      credit(plain_FK), credit(norm_FK),
      credit(calibrated_FK) if calibrated_FK else None,
      float(len(preferred) > 1) if len(forms) > 1 else None,
      float(np.mean([plain_K[gold] for plain_K in plain_FK])),
      not np.isfinite(plain_FK + calibrated_FK).all())


def column(found: Sequence[Verdict], field: str) -> np.ndarray | None:
  """Returns a number of each verdict; None if it does not apply to all."""
  values = [getattr(verdict, field) for verdict in found]
  return None if None in values else np.array(values)


def _averaged(losses_FK: Sequence[np.ndarray]) -> np.ndarray:
  """Returns the loss of each option, with probabilities averaged over forms."""
  if len(losses_FK) == 1:
    return losses_FK[0]
  logits_FK = -np.array(losses_FK)
  total_F1 = np.logaddexp.reduce(logits_FK, axis=1, keepdims=True)
  return -_log_mean(logits_FK - total_F1)


def _log_mean(logits_FK: np.ndarray) -> np.ndarray:
  """Returns the logarithm of the mean probability of each column."""
  return np.logaddexp.reduce(logits_FK, axis=0) - math.log(len(logits_FK))


def _credit(how, losses_K: np.ndarray, gold: int) -> float:
  """Returns the credit of a question, 0 to 1; see `choice_rules`."""
  return how.credit(losses_K, gold) if np.isfinite(losses_K).all() else 0.0
