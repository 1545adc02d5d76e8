"""JSON lines: objects with their place, and what is said of other lines."""
import pytest

from lmjax.core import errors
from lmjax.data.text import json_lines


def test_objects_come_with_their_line(tmp_path):
  path = tmp_path / 'a.jsonl'
  path.write_text('{"a": 1}\n\n{"a": "x"}\n')
  assert list(json_lines.rows(str(path))) == [
      (f'{path}:1', {'a': 1}), (f'{path}:3', {'a': 'x'})]


def test_fields_are_there_and_texts_are_strings():
  row = {'text': 'x', 'label': 1}
  assert json_lines.text(row, 'text', 'f:1') == 'x'
  assert json_lines.value(row, 'label', 'f:1') == 1
  with pytest.raises(errors.InputError, match="f:1: no field 'lable'.*'label'"):
    json_lines.value(row, 'lable', 'f:1')
  with pytest.raises(errors.InputError, match="'label' should be a string"):
    json_lines.text(row, 'label', 'f:1')


@pytest.mark.parametrize('line, message', [
    ('{"a"', 'f:2: not JSON .*truncated'), ('[1]', 'f:2: .*got list')])
def test_lines_without_a_json_object_are_refused(line, message):
  with pytest.raises(errors.InputError, match=message):
    json_lines.loads(line, 'f:2')
