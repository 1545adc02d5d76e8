"""Audits a model: does its text tell that its config is wrong?

The model is scored on a text under its config and under each rival reading of
the same weights (`interop.audit.rivals`). Right weights with a wrong config are
worse than with the right one, so where a rival is clearly better, the config is
wrong, and the rival says in which field.
"""
from collections.abc import Callable, Collection
import dataclasses
import importlib.resources
import math
import pathlib
import time
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.evaluation import report
from lmjax.interop.audit import reading as reading_lib
from lmjax.interop.audit import rivals

WINS = 5.0  # A rival that is better by more standard errors wins ...
LEAST = 0.01  # ... if it is better by this many nats per token.
# On a text unlike those of its training a model is too sure or not sure enough,
# so readings that only change how sure it is have to be better by more.
LEAST_SURE = 0.1
_SURENESS = ('head.scale', 'head.softcap', 'tokens.scale', 'tokens.softcap')
_LOSES = -6.0  # A rival that is worse by more is given up early ...
_CLEARLY = -0.1  # ... if it is worse by this many nats per token.
_LENGTH = 252  # Tokens of a batch; longer rows take longer to compile.
_ROOM = 2  # Learned positions that a reading may leave out at the start.
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
    tokens: Predicted tokens that this is measured on; a reading that is clearly
      worse on the first ones is not scored on all.
    same: Whether both predict all tokens alike.
  """
  field: str
  what: str
  nats: float
  z: float
  tokens: int
  same: bool

  @property
  def wins(self) -> bool:
    """Whether the config is wrong, as far as this reading shows."""
    least = LEAST_SURE if self.field in _SURENESS else LEAST
    return self.z > WINS and self.nats > least

  @property
  def loses(self) -> bool:
    """Whether the text tells the reading from the config, which is better."""
    return self.z < -WINS and self.nats < 0


@dataclasses.dataclass(frozen=True)
class Audit:
  """The comparison of a model's config with all rival readings.

  Attributes:
    nats: Nats per token under the config.
    frequencies: Nats per token of the text under the frequencies of its own
      tokens. A model that knows the language of the text needs fewer.
    tokens: Predicted tokens.
    findings: All rivals, the best first.
    seconds: Time of the audit.
  """
  nats: float
  frequencies: float
  tokens: int
  findings: tuple[Finding, ...]
  seconds: float

  def refusal(self, accept: Collection[str] = ()) -> str | None:
    """Returns why the model should be refused, or None.

    Args:
      accept: Fields that may be wrong.
    """
    for found in self.findings:
      knows = self.nats - found.nats < self.frequencies
      if found.wins and knows and found.field not in accept:
        return (
            f'The weights contradict the config: with {found.field} = '
            f'{found.what} they predict a text of {found.tokens:,} tokens '
            f'better by {found.nats:.3f} nats per token (z = {found.z:.1f}). '
            f'Correct the config, or keep it with --accept={found.field}.')
    return None

  def doubt(self) -> str | None:
    """Returns why the text says nothing about the model, or None."""
    if self.nats < self.frequencies:
      return None
    return (
        f'The text says nothing about the config: the model needs '
        f'{self.nats:.2f} nats per token, more than the frequencies of the '
        f"text's own tokens ({self.frequencies:.2f}). Either the model does "
        'not know the language of the text, or more than one field of the '
        'config is wrong. Give a text that it should know with --text.')

  def show(self) -> None:
    """Prints the rivals in a table, the best first."""
    print(f'{self.nats:.4f} nats per token on {self.tokens:,} tokens, and by '
          'so much more under each other reading:')
    report.display(report.grid(
        ['reading', 'nats', 'z', ''],
        [[f'{found.field} = {found.what}', f'{-found.nats:+.4f}',
          f'{-found.z:+.1f}', _verdict(found)] for found in self.findings]))


def _verdict(found):
  if found.same:
    return 'the same'
  return 'BETTER' if found.wins else '' if found.loses else 'not told apart'


def plain_text() -> str:
  """Returns a text in plain English, of about 8 kB."""
  return importlib.resources.files('lmjax.interop.audit').joinpath(
      'text.txt').read_text(encoding='utf-8')


def read_text(path: str) -> str:
  """Returns the text of a file.

  Raises:
    InputError: If it cannot be read, or is not UTF-8.
  """
  try:
    return pathlib.Path(path).read_text(encoding='utf-8')
  except (OSError, UnicodeDecodeError) as error:
    raise errors.InputError(
        f'--text={path} should be a text file in UTF-8: {error}.') from error


def audit(pretrained: Any, text: str | None = None, budget: int = 2048,
          context: int | None = None,
          readings: Callable[..., Any] = rivals.of) -> Audit:
  """Compares a model's config with all rival readings of its weights.

  Args:
    pretrained: A model with `model`, `params` and `tokenizer`, such as
      `runs.Pretrained` or `trained.Trained`.
    text: The text to score, in a language that the model knows; None means
      `plain_text()`.
    budget: About how many tokens of the text to score.
    context: Most tokens that the model was trained to read at once; None means
      the context of its config. Positions that were never trained say nothing.
    readings: Function from (config, params, length) to the rivals.

  Raises:
    InputError: If the model predicts no tokens, or the text is too short.
  """
  begun = time.perf_counter()
  config, params = rivals.plain(pretrained.model.config, pretrained.params)
  reading = reading_lib.of(pretrained.model, pretrained.tokenizer)
  ids = np.asarray(pretrained.tokenizer.encode(
      plain_text() if text is None else text), np.int64)[:budget]
  batches = _batches(reading, pretrained.tokenizer, ids,
                     min(context or config.context, config.context - _ROOM))
  length = max(batch['inputs'].shape[1] for batch in batches)
  score, truth = reading_lib.Scorer(reading), rivals.scanned(config, params)
  own = [score(*truth, batch) for batch in batches]
  findings = []
  for rival in readings(config, params, length):
    alike = rivals.layers(rival.config) == rivals.layers(config)
    read = rivals.scanned(
        rival.config, truth[1] if alike and rival.params is params
        else rival.params, truth[1] if alike else None)
    findings.append(_compared(score, rival, read, batches, own))
  own = np.concatenate(own)
  return Audit(
      nats=float(own.mean()), frequencies=_entropy(ids), tokens=len(own),
      findings=tuple(sorted(findings, key=lambda found: (
          -found.wins, -found.z if found.wins else -found.nats))),
      seconds=time.perf_counter() - begun)


def _entropy(ids: np.ndarray) -> float:
  """Returns the nats per token under the frequencies of the tokens."""
  counts = np.unique(ids, return_counts=True)[1]
  return float(-(counts * np.log(counts / len(ids))).sum() / len(ids))


def _batches(reading, tokenizer, ids, context):
  """Returns the batches of a text, all of one shape."""
  length = min(_LENGTH, context)
  rows = list(reading.rows(tokenizer, ids, length))
  if not rows:
    raise errors.InputError(
        f'An audit needs a text of at least {length} tokens; got {len(ids)}: '
        'give a longer one with --text.')
  most, count = _LENGTH // rows[0]['inputs'].size, len(rows)
  together = max(size for size in range(1, max(1, most) + 1)
                 if count % size == 0)
  return [{name: np.concatenate([row[name] for row in rows[i:i + together]])
           for name in rows[i]} for i in range(0, count, together)]


def _compared(score, rival, read, batches, own) -> Finding:
  """Compares a rival with the config, on as many batches as needed."""
  changes, places = [], []
  for batch, nats in zip(batches, own):
    changes.append(nats - score(*read, batch))
    places.append(reading_lib.places(batch))
    change, place = np.concatenate(changes), np.concatenate(places)
    # Few tokens are few blocks, so those are shorter.
    block = _BLOCK if len(changes) > 1 else _BLOCK // 4
    found = Finding(
        rival.field, rival.what, float(change.mean()),
        z_score(change, place // block), len(change),
        bool(np.abs(change).max() < _EQUAL))
    if found.z < _LOSES and found.nats < _CLEARLY:
      break
  return found


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
