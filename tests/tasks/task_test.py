"""A task is a value: it compares, replaces and survives a config file."""
import dataclasses

import pytest

from lmjax.core import config
from lmjax import tasks
from lmjax.tasks import task


@pytest.mark.parametrize('name', sorted(tasks.TASKS))
def test_every_task_survives_editing_and_freezing(name):
  value = tasks.TASKS[name]
  assert isinstance(value, task.Task)
  assert config.freeze(type(value), config.to_dict(value)) == value


def test_a_new_task_is_a_value_with_other_parts():
  one = tasks.TASKS['docstrings']
  other = dataclasses.replace(one, features=dataclasses.replace(
      one.features, batch_size=7))
  assert other != one and other.source == one.source
  with pytest.raises(dataclasses.FrozenInstanceError):
    one.source = None


def test_a_task_may_hold_parts_of_any_kind():
  mine = task.Task(source='words', features=None, objective=abs, metrics=())
  assert dataclasses.replace(mine, metrics=(1,)).objective is abs
