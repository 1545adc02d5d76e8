"""Audits a model: does its text tell that its config is wrong?

The model is scored on a text under its config and under each rival reading of
the same weights (`interop.audit.rivals`). Right weights with a wrong config are
worse than with the right one, so where a rival is clearly better, the config is
wrong, and the rival says in which field.
"""
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent import futures
import dataclasses
import functools
import importlib.resources
import pathlib
import threading
import time
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.evaluation import report
from lmjax.interop.audit import begins
from lmjax.interop.audit import findings as findings_lib
from lmjax.interop.audit import reading as reading_lib
from lmjax.interop.audit import rivals

# Factors of logits that make a model less sure. None makes it surer: on a text
# unlike those of its training a model is too sure, so what a reading gains by
# being surer still is more than that.
_SCALES_S = np.exp(np.linspace(-0.6, 0, 13)).astype(np.float32)
_KNOWN = 0.9  # Share of the nats of frequencies that a model may need.
_WORKERS = 2  # One compiles while another one computes.
_LENGTH = 252  # Tokens of a batch; longer rows take longer to compile.
_ROOM = 2  # Learned positions that a reading may leave out at the start.
_MORE = 4  # A close call is scored on up to so many times as many tokens.


@dataclasses.dataclass(frozen=True)
class Audit:
  """The comparison of a model's config with all rival readings.

  Attributes:
    nats: Nats per token under the config.
    frequencies: Nats per token of the text under the frequencies of its own
      tokens. A model that knows the language of the text needs far fewer.
    tokens: Predicted tokens.
    findings: All rivals, the best first.
    seconds: Time of the audit.
  """
  nats: float
  frequencies: float
  tokens: int
  findings: tuple[findings_lib.Finding, ...]
  seconds: float

  def refusal(self, accept: Collection[str] = ()) -> str | None:
    """Returns why the model should be refused, or None.

    Args:
      accept: Fields that may be wrong.
    """
    for found in self.findings:
      if found.wins and found.field not in accept and self._knows(
          self.nats - found.nats):
        each = ', each at its best temperature,' * found.calibrated
        return (
            f'The weights contradict the config: with {found.field} = '
            f'{found.what} they predict a text of {found.tokens:,} tokens{each}'
            f' better by {found.nats:.3f} nats per token (z = {found.z:.1f}). '
            f'Correct the config, or keep it with --accept={found.field}.')
    return None

  def doubt(self) -> str | None:
    """Returns why the text says nothing about the model, or None."""
    if self._knows(self.nats):
      return None
    return (
        f'The text says nothing about the config: the model needs '
        f'{self.nats:.2f} nats per token, hardly fewer than the frequencies of '
        f"the text's own tokens ({self.frequencies:.2f}), or more. Either the "
        'model does not know the language of the text, or more than one field '
        'of the config is wrong. Give a text that it should know with --text.')

  def _knows(self, nats: float) -> bool:
    """Returns whether a model with these nats knows the language."""
    return nats < _KNOWN * self.frequencies

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
  """Returns a text in plain English, of about 21 kB."""
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
    budget: Most tokens of the text to score; close calls are scored on up to
      four times as many.
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
        findings_lib.beaten if quick else findings_lib.settled)
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
    ids: The ids of the first part of the text, which every reading is scored
      on.
    length: Tokens of the longest row that is scored.
    own: The nats of the predicted tokens, for each batch of that part.

  Args:
    pretrained: See `audit`, as for the other arguments.
  """

  def __init__(self, pretrained: Any, text: str | None = None,
               budget: int = 2048, context: int | None = None):
    self.config, self.params = rivals.plain(
        pretrained.model.config, pretrained.params)
    self._tokenizer = pretrained.tokenizer
    self._reading = reading_lib.of(pretrained.model, self._tokenizer)
    ids = np.asarray(self._tokenizer.encode(
        plain_text() if text is None else text), np.int64)[:budget * _MORE]
    self.ids = ids[:budget]
    self._batches, self._rest = _batches(
        self._reading, self._tokenizer, ids, budget,
        min(context or self.config.context, self.config.context - _ROOM))
    self.length = max(batch['inputs'].shape[1] for batch in self._batches)
    self._score = reading_lib.Scorer(self._reading)
    self._truth = rivals.scanned(self.config, self.params)
    self.own = [self._score(*self._truth, batch) for batch in self._batches]

  @functools.cached_property
  def _own_rest(self):
    """The nats of the rest of the text, which only close calls need."""
    return [self._score(*self._truth, batch) for batch in self._rest]

  @functools.cached_property
  def _own_best(self):
    """The nats of all of the text at the model's best temperature."""
    return self._best(self._truth)

  def compared(self, config: Any, params: Any, field: str = '', what: str = '',
               stop: Callable[..., bool] | None = None) -> findings_lib.Finding:
    """Compares another reading with the model's, as far as it takes.

    Args:
      config: The config of the reading, as from `rivals.plain`.
      params: Its parameters, likewise.
      field: The field that is read differently.
      what: How it is read.
      stop: See `paired`.
    """
    read = self._read(config, params)
    found = findings_lib.paired(field, what, (
        (nats - self._score(*read, batch), reading_lib.places(batch))
        for batch, nats in zip(self._batches, self.own)), stop,
        sum(map(len, self.own)))
    return findings_lib.decided(
        found, lambda: self.closer(config, params, field, what),
        lambda: self.calibrated(config, params, field, what))

  def closer(self, config: Any, params: Any, field: str = '', what: str = ''
             ) -> findings_lib.Finding:
    """Compares another reading on all of the text, as a close call needs.

    The arguments are those of `compared`.
    """
    read = self._read(config, params)
    return findings_lib.paired(field, what, (
        (nats - self._score(*read, batch), reading_lib.places(batch))
        for batch, nats in zip(self._batches + self._rest,
                               self.own + self._own_rest)))

  def calibrated(self, config: Any, params: Any, field: str = '',
                 what: str = '') -> findings_lib.Finding:
    """Compares another reading with the model's, each at its best temperature.

    The temperature is at least 1, so that a reading gains nothing by making the
    model less sure. All of the text is scored. The arguments are those of
    `compared`.

    References:
      Guo et al., On Calibration of Modern Neural Networks, arXiv:1706.04599,
      section 4.2 (temperature scaling).
      Ovadia et al., Can You Trust Your Model's Uncertainty?, arXiv:1906.02530
      (models are too sure of themselves on data unlike those of training).
    """
    other = self._best(self._read(config, params))
    return dataclasses.replace(findings_lib.paired(field, what, (
        (mine - nats, reading_lib.places(batch)) for mine, nats, batch in zip(
            self._own_best, other, self._batches + self._rest))),
                               calibrated=True)

  def _best(self, reading):
    """Returns the nats of each batch at the best temperature for all."""
    found = [self._score(*reading, batch, _SCALES_S)
             for batch in self._batches + self._rest]
    best = np.concatenate(found, axis=1).mean(axis=1).argmin()
    return [nats_SM[best] for nats_SM in found]

  def _read(self, config, params):
    """Returns a reading with its layers stacked, as the model's are."""
    alike = rivals.layers(config) == rivals.layers(self.config)
    return rivals.scanned(
        config, self._truth[1] if alike and params is self.params else params,
        self._truth[1] if alike else None)

  def begun(self) -> Iterator[findings_lib.Finding]:
    """Yields how other first tokens of texts compare with the tokenizer's."""
    if self._reading.begun is None or self.config.context < begins.LENGTH:
      return
    texts = [self._tokenizer.encode(text)
             for text in _own('openings.txt').splitlines()]

    def batches(first):
      rows = list(self._reading.begun(texts, first))
      return _grouped(rows, _together(rows))
    for what, first in begins.others(self._tokenizer):
      yield findings_lib.paired('tokenizer.bos', what, (
          (self._score(*self._truth, own) - self._score(*self._truth, other),
           reading_lib.places(own)) for own, other in zip(
               batches(self._tokenizer.bos_id), batches(first))))


def _entropy(ids: np.ndarray) -> float:
  """Returns the nats per token under the frequencies of the tokens."""
  counts = np.unique(ids, return_counts=True)[1]
  return float(-(counts * np.log(counts / len(ids))).sum() / len(ids))


def _batches(reading, tokenizer, ids, budget, context):
  """Returns the batches of a text up to `budget` and after it, of one shape."""
  length = min(_LENGTH, context)
  rows = list(reading.rows(tokenizer, ids, length))
  count = len(list(reading.rows(tokenizer, ids[:budget], length)))
  if not count:
    raise errors.InputError(
        f'An audit needs a text of at least {length} tokens; got {len(ids)}: '
        'give a longer one with --text.')
  size = _together(rows[:count])
  return _grouped(rows[:count], size), _grouped(rows[count:], size)


def _together(rows):
  """Returns how many rows make batches of one shape, of about `_LENGTH` tokens.
  """
  most = _LENGTH // rows[0]['inputs'].size
  return max(size for size in range(1, max(1, most) + 1)
             if len(rows) % size == 0)


def _grouped(rows, size):
  """Returns rows in whole batches of a size."""
  return [{name: np.concatenate([row[name] for row in rows[i:i + size]])
           for name in rows[i]} for i in range(0, len(rows) - size + 1, size)]


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
