"""Files beside a model's weights are read, missing, or refused by name."""
import pytest

from lmjax.core import errors
from lmjax.core.files import beside


@pytest.mark.parametrize('text, value', [('{"a": 1}', {'a': 1}), ('[1]', [1])])
def test_a_value_of_the_kind_is_returned(text, value, tmp_path):
  (tmp_path / 'x.json').write_text(text)
  assert beside.read(tmp_path, 'x.json', type(value)) == value


def test_a_missing_file_has_no_value(tmp_path):
  assert beside.read(tmp_path, 'x.json') is None


@pytest.mark.parametrize('text, kind, why', [
    ('[1]', dict, 'should hold an object'), ('{}', list, 'should hold a list'),
    ('{', dict, 'x.json cannot be read: '), ('{"a": NaN}', dict, 'NaN')])
def test_another_value_is_refused(text, kind, why, tmp_path):
  (tmp_path / 'x.json').write_text(text)
  with pytest.raises(errors.InputError, match=why):
    beside.read(tmp_path, 'x.json', kind)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
  (tmp_path / 'x.json').write_text('{}')
  (tmp_path / 'inner').mkdir()
  (tmp_path / 'inner/x.json').symlink_to('../x.json')
  with pytest.raises(errors.InputError, match='is not a name within'):
    beside.read(tmp_path / 'inner', 'x.json')
