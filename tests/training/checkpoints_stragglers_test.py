"""Reports to an event loop that is gone are dropped, and no others."""
import sys
import types

import pytest

from lmjax.training import checkpoints_stragglers as stragglers


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


def test_the_hook_is_wrapped_once(monkeypatch):
  monkeypatch.setattr(sys, 'unraisablehook', before := lambda report: None)
  stragglers.silence.cache_clear()
  stragglers.silence()
  once = sys.unraisablehook
  stragglers.silence()
  assert before is not once is sys.unraisablehook
  stragglers.silence.cache_clear()  # The next test has another hook.
