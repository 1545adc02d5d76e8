"""What a process makes of its flags and of the others' facts."""
import types

import pytest

from lmjax.core import errors
from lmjax.training import channel
from lmjax.training import processes


def test_processes_are_named_wholly_or_not_at_all():
  assert not processes.check(None, None, None)
  assert not processes.check('none', None, None)
  assert processes.check('10.0.0.1:8476', 2, 1)
  for given, words in (
      (('10.0.0.1:8476', 2, None), 'come together'),
      ((None, 2, 0), 'come together'), (('none', 2, 0), 'come together'),
      (('10.0.0.1', 2, 0), 'should be host:port'),
      (('10.0.0.1:8476', 2, 2), 'from 0 to 1')):
    with pytest.raises(errors.InputError, match=words):
      processes.check(*given)


def test_one_process_is_found_where_nothing_says_otherwise(monkeypatch):
  monkeypatch.delenv('SLURM_STEP_NUM_TASKS', raising=False)
  with processes.joined() as group:
    assert group.count == 1 and group is processes.current()
  monkeypatch.setenv('SLURM_STEP_NUM_TASKS', '4')
  assert processes._detected(None) and not processes._detected('none')
  with processes.joined('none') as group:
    assert group.count == 1


def test_facts_that_differ_are_refused_with_both_values(monkeypatch):
  others = [{'data.seed': 0, 'a': 1}, {'data.seed': 0, 'a': 1},
            {'data.seed': 7, 'a': 1}]
  monkeypatch.setattr(processes, '_current', types.SimpleNamespace(
      gather=lambda name, value: others))
  with pytest.raises(errors.InputError, match=(
      r'Process 2 was started with another config than process 0:\n'
      r'  data.seed: 0 in process 0, 7 in process 2')):
    processes.same('config', others[0])
  others.pop()
  processes.same('config', others[0])


def test_the_first_passes_first(monkeypatch):
  done = []
  for index in 0, 1:
    group = channel.Group(index)
    monkeypatch.setattr(group, 'gather', lambda *_: done.append('met'))
    monkeypatch.setattr(processes, '_current', group)
    with processes.in_turn('cache'):
      done.append(f'process {index}')
  assert done == ['process 0', 'met', 'met', 'process 1']
