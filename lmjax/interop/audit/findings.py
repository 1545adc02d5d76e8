"""Compares readings of a model on paired differences of nats per token.

Both readings predict the same tokens, and neighbouring tokens are not
independent: differences are summed in blocks of tokens.
"""
from collections.abc import Callable, Iterable
import dataclasses
import math

import numpy as np

WINS = 5.0  # A rival that is better by more standard errors wins ...
LEAST = 0.01  # ... if it is better by this many nats per token.
CLOSE = 3.0  # With so many standard errors it is a close call: more text tells.
# On a text unlike those of its training a model is too sure or not sure enough,
# so readings that only change how sure it is have to be better by more. After
# BOS it expects such texts as it was trained on, and no others.
LEAST_OF = {**dict.fromkeys(
    ('head.scale', 'head.softcap', 'tokens.scale', 'tokens.softcap'), 0.1),
            'tokenizer.bos': 0.5}
# Another scale of attention changes how sure a model is, too, but more than
# that: it only wins if it does with the model and the reading each at the
# temperature of 1 or more that is best for it.
CALIBRATED = frozenset({'block.mixer.scale'})
# On an easy text a model is not sure enough, by up to 0.008 nats in the tiny
# models of `benchmarks/audit.py`.
LEAST_CALIBRATED = 0.02
_CERTAIN = 5.0  # Standard errors by which a reading that loses is settled.
_LUCK = 3.0  # Standard errors that a mean and the rest of a text may be off.
_BLOCK = 32  # Neighbouring tokens whose differences are summed.
_EQUAL = 1e-5  # Readings that differ by less nats on no token are the same.


@dataclasses.dataclass(frozen=True)
class Finding:
  """A rival reading, compared with the config.

  Attributes:
    field: The field of the model's config that is read differently.
    what: The reading.
    nats: Nats per token by which the reading is better; negative if worse.
    z: The same in standard errors.
    tokens: Predicted tokens that this is measured on; a reading that is settled
      by the first ones, because it is worse or differs too little to be better,
      is not scored on all.
    same: Whether both predict all tokens alike.
    calibrated: Whether both are at their best temperature of 1 or more, so that
      the difference is not that one is less sure.
  """
  field: str
  what: str
  nats: float
  z: float
  tokens: int
  same: bool
  calibrated: bool = False

  @property
  def wins(self) -> bool:
    """Whether the config is wrong, as far as this reading shows."""
    least = LEAST_CALIBRATED if self.calibrated else LEAST_OF.get(
        self.field, LEAST)
    return self.z > WINS and self.nats > least

  @property
  def loses(self) -> bool:
    """Whether the text tells the reading from the config, which is better."""
    return self.z < -WINS and self.nats < 0


def decided(found: Finding, closer: Callable[[], Finding],
            calibrated: Callable[[], Finding]) -> Finding:
  """Returns the finding that decides on a reading, after as many as it takes.

  Args:
    found: The finding on the first part of the text.
    closer: Finds the same on all of the text; for a close call.
    calibrated: Finds the same, with the model and the reading each at its best
      temperature; for a reading that may only make the model less sure.
  """
  if CLOSE < found.z <= WINS and found.nats > LEAST:
    found = closer()
  better = found.z > WINS and found.nats > LEAST
  if better and (found.field in CALIBRATED or not found.wins):
    found = calibrated()
  return found


def paired(field: str, what: str,
           parts: Iterable[tuple[np.ndarray, np.ndarray]],
           stop: Callable[..., bool] | None = None, total: int = 0) -> Finding:
  """Compares a reading with the config, on as many tokens as needed.

  Args:
    field: The field.
    what: The reading.
    parts: By how many nats it predicts each token better, with the places of
      the tokens in the text, in parts.
    stop: Function from (finding, change, blocks, share) to whether the parts
      so far suffice, such as `settled` or `beaten`; None uses all.
    total: The number of tokens of all parts.
  """
  changes, places = [], []
  for nats, where in parts:
    changes.append(nats)
    places.append(where)
    change, place = np.concatenate(changes), np.concatenate(places)
    # Few tokens are few blocks, so those are shorter.
    blocks = place // (_BLOCK if len(changes) > 1 else _BLOCK // 4)
    found = Finding(
        field, what, float(change.mean()), z_score(change, blocks),
        len(change), bool(np.abs(change).max() < _EQUAL))
    if stop is not None and stop(found, change, blocks, len(change) / total):
      break
  return found


def settled(found: Finding, change: np.ndarray, blocks: np.ndarray,
            share: float) -> bool:
  """Returns whether a reading is worse, or differs too little to be better.

  Args:
    found: The finding on the tokens so far.
    change: By how many nats it predicts each of them better.
    blocks: The block of each.
    share: The share of the text that they are.
  """
  del share
  return z_score(change - LEAST, blocks) < -_CERTAIN and (
      found.loses or z_score(change + LEAST, blocks) > _CERTAIN)


def beaten(found: Finding, change: np.ndarray, blocks: np.ndarray,
           share: float) -> bool:
  """Returns whether a reading cannot even be a close call; see `settled`.

  In standard errors of the tokens so far, a share f of the text, the reading is
  better by z. The true mean is at most L more, so that all tokens together have
  at most z' = sqrt(f) z + (1 - f) / sqrt(f) (z + L) + sqrt(1 - f) L.
  """
  rest = 1 - share
  most = (share ** 0.5 * found.z + rest / share ** 0.5 * (found.z + _LUCK)
          + rest ** 0.5 * _LUCK)
  return most < CLOSE or z_score(change - LEAST, blocks) < -_CERTAIN


def z_score(change: np.ndarray, blocks: np.ndarray) -> float:
  """Returns the mean of dependent numbers in standard errors.

  Neighbouring tokens are not independent, so the unit is a block of tokens. The
  standard error is that of a ratio of sums over blocks, with the correction
  n / (n - 1), as in `evaluation.paired`.

  Args:
    change: The numbers.
    blocks: The block of each number.

  Example:
    >>> change = np.array([1., 2., 1., 3.])
    >>> round(z_score(change, np.array([0, 0, 1, 1])), 2)
    7.0
  """
  _, block = np.unique(blocks, return_inverse=True)
  sizes, totals = np.bincount(block), np.bincount(block, change)
  count, mean = len(sizes), float(change.mean())
  residuals = totals - mean * sizes
  stderr = math.sqrt(count / max(1, count - 1) * float(residuals @ residuals)
                     ) / len(change)
  if not stderr:
    return math.copysign(math.inf, mean) if mean else 0.0
  return mean / stderr
