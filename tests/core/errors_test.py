"""A user's mistake is a ValueError that says which."""
import pytest

from lmjax.core import errors


def test_input_errors_can_be_caught_as_value_errors():
  with pytest.raises(ValueError, match='the fix'):
    raise errors.InputError('the fix')


def test_a_stop_by_a_signal_ends_the_process_with_its_code():
  with pytest.raises(SystemExit) as caught:
    raise errors.Stopped('SIGTERM: nothing to save', 75, 15)
  assert caught.value.code == 75
  assert caught.value.sentence == 'SIGTERM: nothing to save'
