"""Texts given to scripts, from whatever can be read: no line is lost."""
import collections
import gzip
import io
import os
import threading

import pytest

from lmjax.core import errors
from lmjax.data.text import texts

BOM = b'\xef\xbb\xbf'
RAW = 'from\nGr\u00fc\u00dfe\n'.encode()
WANT = ['from', 'Gr\u00fc\u00dfe']


@pytest.fixture
def read(tmp_path):
  """Returns what is read of a file of a given name and content."""

  def read(name, raw, **options):
    path = tmp_path / name
    path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return texts.read(str(path), **options)
  return read


@pytest.mark.parametrize('raw, want', [
    ('one\r\n\n  two {\n', ['one', '', '  two {']),  # CRLF, and a blank line.
    ('one\ntwo', ['one', 'two']),
    ('\n', ['']),
    (BOM + b'one\n', ['one']),
    ('{"prompt": "x"}\n{ not json', ['{"prompt": "x"}', '{ not json'])])
def test_every_line_is_a_text(read, raw, want):
  assert read('prompts', raw) == want


@pytest.mark.parametrize('name', ['a.jsonl', 'a.JSONL', 'a.ndjson'])
def test_objects_are_read_where_the_name_says_so(read, name):
  raw = '{"prompt": "a\\nb"}\n\n{"prompt": "", "id": 3}\n'
  assert read(name, raw, field='prompt') == ['a\nb', '']
  assert read(name, BOM + raw.encode(), field='prompt') == ['a\nb', '']
  assert read(name, raw, kind='lines') == raw.splitlines()


@pytest.mark.parametrize('name, raw', [
    ('a.csv', 'n,text\n1,"a\nb"\n\n2,\n'),
    ('a.tab', 'text\tn\n"a\nb"\t1\n""\t2')])
def test_a_column_of_a_table_is_read(read, name, raw):
  assert read(name, raw) == ['a\nb', '']
  assert read(name, raw, kind='lines') == raw.splitlines()


def test_a_flag_names_the_format_of_a_pipe(read):
  assert read('pipe', b'{"text": "x"}', kind='jsonl') == ['x']


def test_standard_input_pipes_and_archives_are_read(tmp_path, monkeypatch):
  monkeypatch.setattr('sys.stdin', io.TextIOWrapper(
      io.BytesIO(BOM + RAW), encoding='ascii'))  # Whatever the locale.
  assert texts.read('-') == WANT
  os.mkfifo(tmp_path / 'fifo')
  writer = threading.Thread(target=(tmp_path / 'fifo').write_bytes, args=[RAW])
  writer.start()
  assert texts.read(str(tmp_path / 'fifo')) == WANT
  writer.join()
  receive, send = os.pipe()
  os.write(send, RAW)
  os.close(send)
  assert texts.read(f'/dev/fd/{receive}') == WANT  # As the shell names <(...).
  os.close(receive)
  (tmp_path / 'a.jsonl.gz').write_bytes(gzip.compress(b'{"text": "x"}\n'))
  assert texts.read(str(tmp_path / 'a.jsonl.gz')) == ['x']


def test_a_long_line_is_a_text_like_any_other(read):
  long = 'word ' * 5_000_000
  assert read('a.txt', f'{long}\nx\n') == [long, 'x']


@pytest.mark.parametrize('name, raw, message', [
    ('a', b'a\n\xff\xfe', r':2: invalid UTF-8 .* on_bad_text=replace'),
    ('a.jsonl', '{"text": "\\ud800"}',
     r":1: lone surrogate '\\ud800' .*=replace"),
    ('a.jsonl', '{"text": "x"}\n\nplain', r':3: not JSON'),
    ('a.jsonl', '{"text": "x"}\n{"text": 3}', ":2: field 'text' should be"),
    ('a.jsonl', '{"txet": "x"}', "no field 'text'.*Did you mean 'txet'"),
    ('a.jsonl', ' \n', 'is empty'),
    ('a', 'a\nb\0', ':2: not text: byte 3 of the file is NUL'),
    ('a', 'a\n'.encode('utf-16'), 'UTF-16: iconv -f UTF-16'),
    ('a.csv', 'txet\nx\n', "no column 'text'.*Did you mean 'txet'"),
    ('a.parquet', 'x', r'a Parquet table, .*=csv\|jsonl\|lines\|tsv if'),
    ('a.json', '["x"]', 'a JSON file, which is not read here')])
def test_no_text_is_refused_with_its_line(read, name, raw, message):
  with pytest.raises(errors.InputError, match=message):
    read(name, raw)


def test_bad_text_is_replaced_and_counted_and_shifts_nothing(read):
  counts = collections.Counter()
  options = dict(on_bad_text='replace', counts=counts)
  assert read('a', b'a\n\xff\nc\n', **options) == ['a', '\ufffd', 'c']
  assert read('a.jsonl', '{"text": "\\udc00x"}', **options) == ['\ufffdx']
  assert counts == {'lines of bad text repaired': 2}


def test_an_unknown_format_is_refused(read):
  with pytest.raises(errors.InputError, match="'line'; choose .*mean 'lines'"):
    read('a', 'x', kind='line')


def test_a_missing_file_is_refused():
  with pytest.raises(errors.InputError, match="No file 'absent'"):
    texts.read('absent')
