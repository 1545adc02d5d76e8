"""JSON with unique keys, finite numbers, and bounded size and depth."""
import math
import time

import pytest

from lmjax.core.files import strict_json


def _nested(depth):
  return '[' * depth + ']' * depth


@pytest.mark.parametrize('text, value', [
    ('{"a": [1, 2.5, null, true]}', {'a': [1, 2.5, None, True]}),
    ('{"a": {"b": 1}, "b": 2}', {'a': {'b': 1}, 'b': 2}),
    ('"' + '[' * 500 + '"', '[' * 500),
    ('[' + '[],' * 500 + '1]', [[]] * 500 + [1])])
def test_json_is_read(text, value):
  assert strict_json.loads(text) == value


@pytest.mark.parametrize('text, why', [
    ('', 'Expecting value'), ('{', 'Expecting property'), ('{}x', 'Extra data'),
    ('{"a": 1, "b": 1, "a": 2}', "'a' comes twice"),
    ('[{"x": {"a": 1, "a": 1}}]', "'a' comes twice"),
    ('{"a": NaN}', 'NaN is not'), ('[-Infinity]', '-Infinity is not'),
    ('[1e999]', 'too large'), ('[-1e999]', 'too large'),
    (_nested(102), 'nested more than 100'),
    ('{"a":' * 102 + '1' + '}' * 102, 'nested more than 100'),
    (_nested(100_000), 'nested more than 100'), ('[' * 100_000, 'nested more'),
    ('1' * 5000, 'too large'), ('[-1' + '0' * 30 + ']', 'too large')])
def test_invalid_json_is_refused(text, why):
  with pytest.raises(ValueError, match=why):
    strict_json.loads(text)


def test_the_limit_of_tokenizers_without_a_limit_is_a_number():
  assert strict_json.loads(str(int(1e30))) == int(1e30)


def test_a_hundred_deep_is_not_too_deep():
  assert strict_json.loads(_nested(100)) is not None


def test_data_may_hold_what_pandas_writes():
  row = strict_json.loads('{"text": "x", "score": NaN}', lenient=True)
  assert math.isnan(row['score'])
  for text in '{"a": 1, "a": 2}', _nested(102), _nested(100_000):
    with pytest.raises(ValueError):
      strict_json.loads(text, lenient=True)


def test_refusing_is_fast():
  begun = time.process_time()
  with pytest.raises(ValueError, match='comes twice'):
    strict_json.loads('{' + ','.join(
        f'"{i}":0' for i in range(20_000)) + ',"19999":0}')
  assert time.process_time() - begun < 2


def test_a_file_is_bounded(tmp_path):
  path = tmp_path / 'x.json'
  path.write_text('{"é": 1}', encoding='utf-8')
  assert strict_json.read(path) == {'é': 1}
  with pytest.raises(ValueError, match='larger than 8 bytes'):
    strict_json.read(path, max_bytes=8)
  path.write_bytes(b'"\xff"')
  with pytest.raises(ValueError):
    strict_json.read(path)
  with pytest.raises(OSError):
    strict_json.read(tmp_path / 'absent')
