"""Texts given to scripts: plain or as JSON, from whatever can be read."""
import gzip
import io
import os
import threading

import pytest

from lmjax.core import errors
from lmjax.data.text import texts


@pytest.fixture
def read(tmp_path):
  """Returns what is read of a file with the given text."""
  path = tmp_path / 'prompts'

  def read(text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return texts.read(str(path))
  return read


def test_texts_are_lines_or_json_lines(read):
  assert read('one\r\n\n  two {\n') == ['one', '  two {']
  assert read('{ not json\n{"prompt": "x"}') == ['{ not json',
                                                 '{"prompt": "x"}']
  assert read('{"prompt": "a\\nb"}\n\n{"prompt": "", "id": 3}') == [
      'a\nb', '']


def test_a_byte_order_mark_is_no_part_of_a_text(read):
  assert read(b'\xef\xbb\xbf{"prompt": "x"}') == ['x']


def test_standard_input_pipes_and_archives_are_read(tmp_path, monkeypatch):
  raw = 'from\nGr\u00fc\u00dfe\n'.encode()
  monkeypatch.setattr('sys.stdin', io.TextIOWrapper(
      io.BytesIO(raw), encoding='ascii'))  # Whatever the locale.
  assert texts.read('-') == ['from', 'Gr\u00fc\u00dfe']
  os.mkfifo(tmp_path / 'pipe')
  writer = threading.Thread(target=(tmp_path / 'pipe').write_bytes, args=[raw])
  writer.start()
  assert texts.read(str(tmp_path / 'pipe')) == ['from', 'Gr\u00fc\u00dfe']
  writer.join()
  (tmp_path / 'a.gz').write_bytes(gzip.compress(raw))
  assert texts.read(str(tmp_path / 'a.gz')) == ['from', 'Gr\u00fc\u00dfe']


@pytest.mark.parametrize('text, message', [
    ('\n \n', 'is empty'), ('{"prompt": "x"}\n\nplain', ':3: .*plain'),
    ('{"prompt": "x"}\n{"prompt": 3}', ':2: should be a JSON object'),
    (b'a\n\xff\xfe', ':2: invalid UTF-8')])
def test_what_is_no_text_is_told_with_its_line(read, text, message):
  with pytest.raises(errors.InputError, match=message):
    read(text)


def test_a_missing_file_is_told():
  with pytest.raises(errors.InputError, match="No file 'absent'"):
    texts.read('absent')
