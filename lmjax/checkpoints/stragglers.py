"""Filters for error reports of reads and writes that have already failed.

Orbax reads or writes all arrays of a step concurrently, in an event loop that
it closes at the first failure. TensorStore's threads still report later
failures to that loop, and each would print a traceback to stderr, although the
failure has been reported already.
"""
from collections.abc import Callable
import functools
import logging
import sys


@functools.cache
def silence() -> None:
  """Suppresses these reports from now on; all others are shown as before."""
  sys.unraisablehook = without_closed_loops(sys.unraisablehook)
  logging.getLogger('asyncio').addFilter(is_news)


def is_news(record: logging.LogRecord) -> bool:
  """Returns False for a log record about an array that failed too late."""
  text, error = record.getMessage(), record.exc_info and record.exc_info[1]
  return not (text.startswith('Task exception was never retrieved')
              and ('_wrap_awaitable' in text or 'orbax' in text)
              and isinstance(error, ValueError))


def without_closed_loops(show: Callable[..., None]) -> Callable[..., None]:
  """Returns `show`, a `sys.unraisablehook`, for all but these reports."""
  def hook(report):
    is_straggler = (
        report.object is None and isinstance(report.exc_value, RuntimeError)
        and str(report.exc_value) == 'Event loop is closed')
    if not is_straggler:
      show(report)
  return hook
