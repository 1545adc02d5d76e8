"""JSON that describes tensors is read, and refused before it costs much."""
import time
import tracemalloc

import numpy as np
import pytest

from lmjax.interop.formats import headers


def read(raw):
  return headers.read(np.frombuffer(raw, np.uint8))


def test_an_object_is_read():
  assert read(b'{"a": [1, {"b": "\xc3\xa9"}]}  ') == {'a': [1, {'b': 'é'}]}


@pytest.mark.parametrize('raw, why', [
    (b'[]', 'should hold an object'), (b'1', 'should hold an object'),
    (b'{', 'Expecting'), (b'{"a": "\xff"}', 'utf-8'),
    (b'{"a": 1, "a": 2}', 'comes twice'), (b'[' * 1000, 'nested more'),
    (bytes(17 << 20), 'has 17,825,792 bytes, more than 16,777,216'),
    (b'{"a":[' + b',' * 250_001, 'has 250,001 commas, more than 250,000')])
def test_other_texts_are_refused(raw, why):
  with pytest.raises(ValueError, match=why):
    read(raw)


@pytest.mark.parametrize('raw', [
    b'{"a":[' + b'[],' * 249_999 + b'[]]', b'[' * (16 << 20),
    b'{"a":' * (3 << 20), b'{"a":[' + b'{},' * 5_000_000,
    b'"' + b'\\u0000' * 2_000_000, b'{"a":' + b'9' * (15 << 20)])
def test_a_hostile_text_is_refused_soon_and_cheaply(raw):
  begun = time.process_time()
  with pytest.raises(ValueError):
    read(raw)
  assert time.process_time() - begun < 1
  tracemalloc.start()
  with pytest.raises(ValueError):
    read(raw)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert peak < 2 * len(raw) + (64 << 20)
