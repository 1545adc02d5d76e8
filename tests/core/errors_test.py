"""A user's mistake is a ValueError that says which."""
import pytest

from lmjax.core import errors


def test_input_errors_can_be_caught_as_value_errors():
  with pytest.raises(ValueError, match='the fix'):
    raise errors.InputError('the fix')
