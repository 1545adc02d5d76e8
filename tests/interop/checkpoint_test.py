"""A folder of weights is opened without reading them."""
import pytest

from lmjax.core import errors
from lmjax.interop import checkpoint


def test_a_folder_without_a_config_is_refused(tmp_path):
  with pytest.raises(errors.InputError, match='should have a config.json'):
    checkpoint.open_source(tmp_path)


def test_a_missing_source_is_refused(tmp_path):
  with pytest.raises(errors.InputError, match='does not exist'):
    checkpoint.open_source(tmp_path / 'none')


@pytest.mark.parametrize(
    'content', ['', '[]', '{"a": 1, "a": 2}', '{"a": NaN}'])
def test_a_damaged_config_is_refused(tmp_path, content):
  (tmp_path / 'config.json').write_text(content)
  with pytest.raises(errors.InputError, match='cannot be read'):
    checkpoint.open_source(tmp_path)
