"""A student learns from a run that is named by its directory."""
import pytest

from lmjax.core import errors
from lmjax.interop import taught


def test_a_student_needs_a_teacher_of_its_own_tokenizer():
  with pytest.raises(errors.InputError, match='objective.teacher='):
    taught.Taught().build(None)
