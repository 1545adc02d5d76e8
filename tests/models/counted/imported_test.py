"""The config of a model from an ARPA file."""
import pytest

from lmjax.core import errors
from lmjax.models.counted import imported


def test_an_imported_model_is_loaded_but_not_counted():
  config = imported.Imported(order=3)
  assert config.title == '3-gram of an ARPA file'
  with pytest.raises(errors.InputError, match='--config.model.kind=NgramConfig'):
    config.fit([[1, 2]], 3, None)
