"""Trackers show a run while it trains: its rows, config, samples, histograms.

A run does not depend on its trackers: everything that it reads again is in its
directory.
"""
from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import importlib.util
import logging
import pathlib
from typing import Any, ClassVar, Protocol

import numpy as np

from lmjax.core import errors

_logger = logging.getLogger(__name__)


class Tracker(Protocol):
  """A place where a run is watched; also a `writers.Writer`."""

  def write(self, step: int, row: Mapping[str, Any]) -> None:
    """Adds the row of a step; values that are text are left out."""

  def describe(self, config: Mapping[str, Any]) -> None:
    """Adds the run's config as {field: value}, without secrets."""

  def text(self, step: int, name: str, text: str) -> None:
    """Adds a text, such as a sample."""

  def histogram(self, step: int, name: str, counts: np.ndarray,
                edges: np.ndarray) -> None:
    """Adds a histogram: the counts of values between consecutive edges."""

  def close(self) -> None:
    """Writes everything that is buffered, and closes the tracker."""


class Config(Protocol):
  """The config of a tracker; a frozen dataclass.

  Attributes:
    package: The package that the tracker needs, or None.
    extra: The extra of lmjax that installs the package.
  """
  package: ClassVar[str | None]
  extra: ClassVar[str | None]

  def open(self, path: pathlib.Path, start: int) -> Tracker:
    """Opens the tracker of a run.

    A run that continues is the same run in the tracker.

    Args:
      path: The directory of the run.
      start: The step from which the run continues; 0 for a new run.
    """


class Guarded:
  """A tracker whose failures are reported once and do not end the run."""

  def __init__(self, name: str, tracker: Tracker):
    """Guards a tracker.

    Args:
      name: Its name in the message.
      tracker: The tracker.
    """
    self._name, self._tracker = name, tracker

  def write(self, step: int, row: Mapping[str, Any]) -> None:
    self._do(lambda tracker: tracker.write(step, row))

  def describe(self, config: Mapping[str, Any]) -> None:
    self._do(lambda tracker: tracker.describe(config))

  def text(self, step: int, name: str, text: str) -> None:
    self._do(lambda tracker: tracker.text(step, name, text))

  def histogram(self, step: int, name: str, counts: np.ndarray,
                edges: np.ndarray) -> None:
    self._do(lambda tracker: tracker.histogram(step, name, counts, edges))

  def close(self) -> None:
    self._do(lambda tracker: tracker.close())

  def _do(self, action: Callable[[Tracker], None]) -> None:
    if self._tracker is None:
      return
    try:
      action(self._tracker)
    except Exception as error:  # Services and disks fail in many ways.
      self._tracker = None
      _logger.warning(
          '%s cannot be written to (%s: %s); the run continues without it.',
          self._name, type(error).__name__, error)


def check(configs: Sequence[Config]) -> None:
  """Raises InputError if a package that a tracker needs is not installed."""
  for index, config in enumerate(configs):
    package = config.package
    if package is not None and importlib.util.find_spec(package) is None:
      raise errors.InputError(
          f'training.trackers.{index} is {type(config).__name__}, which needs '
          f'the package {package}: pip install "lmjax[{config.extra}]", or '
          'choose other --config.training.trackers.')


@contextlib.contextmanager
def opened(configs: Sequence[Config], path: pathlib.Path, start: int = 0
           ) -> Iterator[tuple[Tracker, ...]]:
  """Opens the trackers of a run, and closes them when the block ends.

  Args:
    configs: The trackers.
    path: The directory of the run.
    start: The step from which the run continues; 0 for a new run.

  Raises:
    InputError: If a package is not installed, or a tracker cannot be opened.
  """
  check(configs)
  with contextlib.ExitStack() as stack:
    found = []
    for config in configs:
      name = type(config).__name__
      try:
        tracker = Guarded(name, config.open(path, start))
      except Exception as error:  # Services fail in many ways.
        raise errors.InputError(
            f'{name} cannot be opened ({type(error).__name__}: {error}). '
            'Correct --config.training.trackers, or run without it: '
            '--config.training.trackers=[].') from error
      found.append(stack.enter_context(contextlib.closing(tracker)))
    yield tuple(found)
