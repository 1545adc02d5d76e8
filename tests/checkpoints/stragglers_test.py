"""Only reports to a closed event loop are suppressed."""
import asyncio
import gc
import logging
import sys
import types

import pytest

from lmjax.checkpoints import stragglers


@pytest.mark.parametrize('error, origin, is_shown', [
    (RuntimeError('Event loop is closed'), None, False),
    (RuntimeError('Event loop is closed'), print, True),
    (RuntimeError('Event loop is open'), None, True),
    (ValueError('Event loop is closed'), None, True)])
def test_only_stragglers_are_dropped(error, origin, is_shown):
  shown = []
  report = types.SimpleNamespace(exc_value=error, object=origin)
  stragglers.without_closed_loops(shown.append)(report)
  assert shown == [report] * is_shown


async def _failing(error):
  task = asyncio.ensure_future(_Array(error))
  await asyncio.sleep(0)
  await asyncio.sleep(0)
  del task
  gc.collect()


class _Array:
  """What TensorStore gives: something to wait for that is no coroutine."""

  def __init__(self, error):
    self._error = error

  def __await__(self):
    raise self._error
    yield


@pytest.mark.parametrize('error, is_shown', [
    (ValueError('DATA_LOSS: Error opening "zarr" driver'), False),
    (KeyError('a bug'), True)])
def test_arrays_that_nobody_waits_for_are_dropped(caplog, error, is_shown):
  gc.collect()  # Reports what earlier tests left behind.
  caplog.clear()
  logger = logging.getLogger('asyncio')
  logger.addFilter(stragglers.is_news)
  try:
    asyncio.run(_failing(error))
  finally:
    logger.removeFilter(stragglers.is_news)
  assert ('never retrieved' in caplog.text) == is_shown


@pytest.mark.parametrize('text, error, is_shown', [
    ('Task was destroyed', None, True),
    ('Task exception was never retrieved\nfuture: <Task coro=<mine()>>',
     ValueError('a bug'), True),
    ('Task exception was never retrieved\nfuture: <Task coro=<write() defined '
     'at site-packages/orbax/checkpoint/handlers.py:114>>',
     ValueError('OUT_OF_RANGE: Error opening "zarr" driver'), False)])
def test_other_messages_of_asyncio_are_shown(text, error, is_shown):
  record = logging.LogRecord(
      'asyncio', logging.ERROR, '', 0, text, (),
      error and (type(error), error, None))
  assert stragglers.is_news(record) == is_shown


def test_the_hook_is_wrapped_once(monkeypatch):
  monkeypatch.setattr(sys, 'unraisablehook', before := lambda report: None)
  stragglers.silence.cache_clear()
  stragglers.silence()
  once = sys.unraisablehook
  stragglers.silence()
  assert before is not once is sys.unraisablehook
  stragglers.silence.cache_clear()  # The next test has another hook.
