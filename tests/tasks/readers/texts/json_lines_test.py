"""JSON lines as labelled text."""
import json

import pytest

from lmjax.core import errors
from lmjax.tasks.readers.texts import json_lines


def write(tmp_path, name, text):
  path = tmp_path / name
  path.write_text(text)
  return str(path)


def found(reader):
  return [(e.text, e.label) for e in reader.examples()]


def test_json_lines_read_fields(tmp_path):
  rows = [{'a': 'x', 'b': 'y', 'label': 1}, {'a': 'z', 'b': '', 'label': True}]
  path = write(tmp_path, 'a.jsonl', '\n'.join(map(json.dumps, rows)))
  reader = json_lines.JsonLines((path,), ('a', 'b'), rename=('1=yes',))
  assert found(reader) == [('x y', 'yes'), ('z ', 'true')]
  without = json_lines.JsonLines((path,), ('b',), label=None)
  assert found(without) == [('y', None), ('', None)]


def test_fields_of_the_second_text_make_a_pair(tmp_path):
  path = write(tmp_path, 'a', '{"a": "x", "b": "y", "label": 2.5}\n')
  example, = json_lines.JsonLines((path,), ('a',), second=('b',)).examples()
  assert example.texts == ('x', 'y') and example.label == '2.5'


@pytest.mark.parametrize('text, message', [
    ('{"text": "a"}\n', "x:1: no field 'label'"),
    ('{"text": "a", "label": 1}\n{"te', 'x:2: not JSON'),
    ('[1]\n', 'should be a JSON object; got list'),
    ('{"text": 3, "label": 1}\n', "field 'text' should be a string; got int"),
])
def test_what_is_wrong_is_named(tmp_path, text, message):
  reader = json_lines.JsonLines((write(tmp_path, 'x', text),))
  with pytest.raises(errors.InputError, match=message):
    list(reader.examples())
