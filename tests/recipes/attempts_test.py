"""A result that fails is left out and named; the others are made."""
import pytest

from lmjax.core import errors
from lmjax.recipes import attempts as attempts_lib


def test_a_failure_leaves_out_one_result_and_ends_with_its_name(capsys):
  attempts = attempts_lib.Attempts()
  def fail():
    raise errors.InputError('no font.')
  assert attempts.make('curve', fail) is None
  assert attempts.make('page', lambda: 3) == 3
  assert attempts.missing == {'curve': 'no font.'}
  with pytest.raises(errors.RunError, match=r'except for the curve \(no font'):
    attempts.finish()
  assert not capsys.readouterr().err


def test_a_bug_shows_its_traceback(capsys):
  attempts = attempts_lib.Attempts()
  attempts.make('page', lambda: 1 / 0)
  assert 'ZeroDivisionError' in capsys.readouterr().err


def test_an_interrupt_is_no_failure_of_a_result():
  def interrupt():
    raise KeyboardInterrupt
  with pytest.raises(KeyboardInterrupt):
    attempts_lib.Attempts().make('page', interrupt)


def test_without_failures_nothing_is_raised():
  attempts_lib.Attempts().finish()
