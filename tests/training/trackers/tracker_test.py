"""Trackers are opened or refused before training, and never end a run."""
import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.training.trackers import tracker


@dataclasses.dataclass(frozen=True)
class Log:
  """A tracker that appends its calls to a list."""
  calls: list
  fails_at: str = ''
  package: ClassVar[str | None] = None
  extra: ClassVar[str | None] = None

  def open(self, path, start):
    self._note('open', path, start)
    return self

  def _note(self, name, *args):
    self.calls.append((name, *args))
    if name == self.fails_at:
      raise OSError('no route')

  def write(self, *args):
    self._note('write', *args)

  def describe(self, *args):
    self._note('describe', *args)

  def text(self, *args):
    self._note('text', *args)

  def histogram(self, *args):
    self._note('histogram', *args)

  def close(self):
    self._note('close')


def test_every_call_reaches_the_tracker_and_it_is_closed(tmp_path):
  calls, counts, edges = [], np.ones(2), np.arange(3)
  with tracker.opened([Log(calls)], tmp_path, 5) as (found,):
    found.describe({'a': 1})
    found.write(6, {'loss': 1.0})
    found.text(6, 'sample', 'text')
    found.histogram(6, 'x', counts, edges)
  assert calls == [
      ('open', tmp_path, 5), ('describe', {'a': 1}),
      ('write', 6, {'loss': 1.0}), ('text', 6, 'sample', 'text'),
      ('histogram', 6, 'x', counts, edges), ('close',)]


@pytest.mark.parametrize('fails_at', ['write', 'close'])
def test_a_tracker_that_fails_is_left_out_with_one_warning(
    tmp_path, caplog, fails_at):
  broken, other = [], []
  with tracker.opened([Log(broken, fails_at), Log(other)], tmp_path) as found:
    for step in range(3):
      for each in found:
        each.write(step, {})
  assert caplog.text.count(
      'Log cannot be written to (OSError: no route); the run continues') == 1
  assert len(other) == 5
  assert len(broken) == (2 if fails_at == 'write' else 5)


def test_a_tracker_that_cannot_be_opened_is_refused(tmp_path):
  calls = []
  with pytest.raises(errors.InputError, match='Log cannot be opened .OSError'):
    with tracker.opened([Log(calls), Log([], 'open')], tmp_path):
      pass
  assert calls[-1] == ('close',)


def test_a_missing_package_is_refused_with_its_extra():
  @dataclasses.dataclass(frozen=True)
  class Absent(Log):
    package: ClassVar[str | None] = 'no_such_package'
    extra: ClassVar[str | None] = 'tracking'
  with pytest.raises(errors.InputError, match=(
      r'training.trackers.1 is Absent, .* install "lmjax.tracking."')):
    tracker.check([Log([]), Absent([])])
