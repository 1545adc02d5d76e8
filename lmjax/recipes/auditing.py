"""Audits a model: does its text tell that its config is wrong?

The model is scored on a text under its config and under each rival reading of
the same weights (`interop.audit.rivals`). Right weights with a wrong config are
worse than with the right one, so where a rival is clearly better, the config is
wrong, and the rival says in which field.
"""
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent import futures
import dataclasses
import importlib.resources
import math
import pathlib
import threading
import time
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.evaluation import report
from lmjax.interop.audit import begins
from lmjax.interop.audit import reading as reading_lib
from lmjax.interop.audit import rivals

WINS = 5.0  # A rival that is better by more standard errors wins ...
LEAST = 0.01  # ... if it is better by this many nats per token.
# On a text unlike those of its training a model is too sure or not sure enough,
# so readings that only change how sure it is have to be better by more. After
# BOS it expects such texts as it was trained on, and no others.
LEAST_OF = {**dict.fromkeys(
    ('head.scale', 'head.softcap', 'tokens.scale', 'tokens.softcap'), 0.1),
            'tokenizer.bos': 0.5}
# Another scale of attention changes how sure a model is, too, but more than
# that: the model and the reading are compared at the best temperature of each.
CALIBRATED = frozenset({'block.mixer.scale'})
_SCALES_S = np.exp(np.linspace(-0.6, 0.6, 25)).astype(np.float32)
_CERTAIN = 5.0  # Standard errors by which a reading that loses is settled.
_LUCK = 3.0  # Standard errors that a mean and the rest of a text may be off.
_WORKERS = 2  # One compiles while another one computes.
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
    tokens: Predicted tokens that this is measured on; a reading that is settled
      by the first ones, because it is worse or differs too little to be better,
      is not scored on all.
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
    return self.z > WINS and self.nats > LEAST_OF.get(self.field, LEAST)

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
  return _own('text.txt')


def _own(name):
  """Returns a text that comes with the audit."""
  return importlib.resources.files('lmjax.interop.audit').joinpath(
      name).read_text(encoding='utf-8')


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
          context: int | None = None, quick: bool = False,
          readings: Callable[..., Any] = rivals.of) -> Audit:
  """Compares a model's config with all rival readings of its weights.

  Args:
    pretrained: A model with `model`, `params` and `tokenizer`, such as
      `runs.Pretrained` or `trained.Trained`.
    text: The text to score, in a language that the model knows; None means
      `plain_text()`.
    budget: Most tokens of the text to score.
    context: Most tokens that the model was trained to read at once; None means
      the context of its config. Positions that were never trained say nothing.
    quick: Whether to score a reading only until it is clear that it does not
      win, rather than until it is clear whether the text tells it apart.
    readings: Function from (config, params, length) to the rivals.

  Raises:
    InputError: If the model predicts no tokens, or the text is too short.
  """
  begun = time.perf_counter()
  scored = Scored(pretrained, text, budget, context)

  def compared(rival):
    return scored.compared(
        rival.config, rival.params, rival.field, rival.what,
        beaten if quick else settled)
  findings = [
      *together(compared, readings(
          scored.config, scored.params, scored.length)), *scored.begun()]
  own = np.concatenate(scored.own)
  return Audit(
      nats=float(own.mean()), frequencies=_entropy(scored.ids), tokens=len(own),
      findings=tuple(sorted(
          findings, key=lambda found: (-found.wins, -found.nats))),
      seconds=time.perf_counter() - begun)


class Scored:
  """A model and a text that is scored under the model's own config.

  Several threads may compare other readings with it.

  Attributes:
    config: The config, as from `rivals.plain`.
    params: The parameters, as from `rivals.plain`.
    ids: The ids of the text.
    length: Tokens of the longest row that is scored.
    own: The nats of the predicted tokens, for each batch.

  Args:
    pretrained: See `audit`, as for the other arguments.
  """

  def __init__(self, pretrained: Any, text: str | None = None,
               budget: int = 2048, context: int | None = None):
    self.config, self.params = rivals.plain(
        pretrained.model.config, pretrained.params)
    self._tokenizer = pretrained.tokenizer
    self._reading = reading_lib.of(pretrained.model, self._tokenizer)
    self.ids = np.asarray(self._tokenizer.encode(
        plain_text() if text is None else text), np.int64)[:budget]
    self._batches = _batches(
        self._reading, self._tokenizer, self.ids,
        min(context or self.config.context, self.config.context - _ROOM))
    self.length = max(batch['inputs'].shape[1] for batch in self._batches)
    self._score = reading_lib.Scorer(self._reading)
    self._truth = rivals.scanned(self.config, self.params)
    self.own = [self._score(*self._truth, batch) for batch in self._batches]

  def compared(self, config: Any, params: Any, field: str = '', what: str = '',
               stop: Callable[..., bool] | None = None) -> Finding:
    """Compares another reading with the model's.

    Args:
      config: The config of the reading, as from `rivals.plain`.
      params: Its parameters, likewise.
      field: The field that is read differently.
      what: How it is read.
      stop: See `paired`.
    """
    read = self._read(config, params)
    found = paired(field, what, (
        (nats - self._score(*read, batch), reading_lib.places(batch))
        for batch, nats in zip(self._batches, self.own)), stop,
        sum(map(len, self.own)))
    if found.wins and field in CALIBRATED:
      return self.calibrated(config, params, field, what)
    return found

  def calibrated(self, config: Any, params: Any, field: str = '',
                 what: str = '') -> Finding:
    """Compares another reading with the model's, each at its best temperature.

    Only what a reading changes besides how sure the model is makes a
    difference. The arguments are those of `compared`.

    References:
      Guo et al., On Calibration of Modern Neural Networks, arXiv:1706.04599,
      section 4.2 (temperature scaling).
    """
    own, other = (self._best(reading) for reading in (
        self._truth, self._read(config, params)))
    return paired(field, what, (
        (mine - nats, reading_lib.places(batch))
        for mine, nats, batch in zip(own, other, self._batches)))

  def _best(self, reading):
    """Returns the nats of each batch at the best temperature for all."""
    found = [self._score(*reading, batch, _SCALES_S)
             for batch in self._batches]
    best = np.concatenate(found, axis=1).mean(axis=1).argmin()
    return [nats_SM[best] for nats_SM in found]

  def _read(self, config, params):
    """Returns a reading with its layers stacked, as the model's are."""
    alike = rivals.layers(config) == rivals.layers(self.config)
    return rivals.scanned(
        config, self._truth[1] if alike and params is self.params else params,
        self._truth[1] if alike else None)

  def begun(self) -> Iterator[Finding]:
    """Yields how other first tokens of texts compare with the tokenizer's."""
    if self._reading.begun is None or self.config.context < begins.LENGTH:
      return
    texts = [self._tokenizer.encode(text)
             for text in _own('openings.txt').splitlines()]

    def batches(first):
      return _grouped(list(self._reading.begun(texts, first)))
    for what, first in begins.others(self._tokenizer):
      yield paired('tokenizer.bos', what, (
          (self._score(*self._truth, own) - self._score(*self._truth, other),
           reading_lib.places(own)) for own, other in zip(
               batches(self._tokenizer.bos_id), batches(first))))


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
  return _grouped(rows)


def _grouped(rows):
  """Returns rows in batches of one shape, each of about `_LENGTH` tokens."""
  most, count = _LENGTH // rows[0]['inputs'].size, len(rows)
  together = max(size for size in range(1, max(1, most) + 1)
                 if count % size == 0)
  return [{name: np.concatenate([row[name] for row in rows[i:i + together]])
           for name in rows[i]} for i in range(0, count, together)]


def together(function: Callable[[Any], Any], items: Iterable[Any]
             ) -> list[Any]:
  """Returns `function` of all items, in order, from a few threads.

  An item is drawn when it is needed, so that few are in memory.
  """
  lock, numbered, found = threading.Lock(), enumerate(items), {}

  def work():
    while True:
      with lock:
        number, item = next(numbered, (None, None))
      if number is None:
        return
      found[number] = function(item)
  with futures.ThreadPoolExecutor(_WORKERS) as pool:
    for worker in [pool.submit(work) for _ in range(_WORKERS)]:
      worker.result()
  return [found[number] for number in sorted(found)]


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
  """Returns whether a reading cannot win any more; see `settled`.

  In standard errors of the tokens so far, a share f of the text, the reading is
  better by z. The true mean is at most L more, so that all tokens together have
  at most z' = sqrt(f) z + (1 - f) / sqrt(f) (z + L) + sqrt(1 - f) L.
  """
  rest = 1 - share
  most = (share ** 0.5 * found.z + rest / share ** 0.5 * (found.z + _LUCK)
          + rest ** 0.5 * _LUCK)
  return most < WINS or z_score(change - LEAST, blocks) < -_CERTAIN


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
