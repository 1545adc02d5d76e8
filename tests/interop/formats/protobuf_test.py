"""Protocol buffers are read field by field; damaged ones are refused."""
import numpy as np
import pytest

from lmjax.interop.formats import protobuf


def fields(content):
  return [(number, value if isinstance(value, int) else bytes(value))
          for number, value in protobuf.fields(memoryview(content))]


def test_fields_of_every_way_of_storing_are_read():
  assert fields(b'\x08\x96\x01' b'\x12\x02hi' b'\x1d\x01\x02\x03\x04'
                b'\x21\1\2\3\4\5\6\7\x08' b'\xa2\x06\0') == [
                    (1, 150), (2, b'hi'), (3, b'\1\2\3\4'),
                    (4, b'\1\2\3\4\5\6\7\x08'), (100, b'')]


@pytest.mark.parametrize('why, content', [
    ('begins no number', b'\x08'), ('begins no number', b'\x08' + b'\xff' * 11),
    ('begins no number', b'\x08' + b'\xff' * 9 + b'\x02'),
    ('should have 5 bytes', b'\x12\x05hi'),
    ('should have 18,446,744', b'\x12' + b'\xff' * 9 + b'\x01'),
    ('should have 8 bytes', b'\x21\1'), ('unknown way 3', b'\x0b')])
def test_damaged_messages_are_refused(why, content):
  with pytest.raises(ValueError, match=why):
    fields(content)


def test_numbers_have_signs():
  (_, value), = protobuf.fields(memoryview(b'\x08' + b'\xff' * 9 + b'\x01'))
  assert protobuf.whole(value) == -1
  assert protobuf.whole((1 << 63) - 1) == (1 << 63) - 1


def test_repeated_numbers_are_packed_or_alone():
  assert protobuf.wholes(7, 3) == [7]
  assert protobuf.wholes(memoryview(b'\1\x96\1\3'), 3) == [1, 150, 3]
  with pytest.raises(ValueError, match='more than 2 numbers'):
    protobuf.wholes(memoryview(b'\1\2\3'), 2)


def test_values_of_another_kind_are_refused():
  for read, value in ((protobuf.text, 3), (protobuf.nested, 3),
                      (protobuf.whole, memoryview(b'a')),
                      (protobuf.text, memoryview(b'\xff'))):
    with pytest.raises(ValueError):
      read(value)


def test_an_array_is_a_view_and_has_whole_numbers():
  found = protobuf.array(memoryview(b'\1\0\2\0'), np.dtype('<u2'))
  np.testing.assert_array_equal(found, [1, 2])
  assert not found.flags.owndata
  with pytest.raises(ValueError, match='2 bytes have 3 bytes'):
    protobuf.array(memoryview(b'\1\0\2'), np.dtype('<u2'))
