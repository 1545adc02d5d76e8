"""Columns of CSV and TSV files, and what is said of malformed ones."""
import csv
import gzip

import pytest

from lmjax.core import errors
from lmjax.data.text import tables


def write(tmp_path, text, name='rows.csv'):
  path = tmp_path / name
  path.write_text(text, encoding='utf-8')
  return str(path)


def read(path, fields, **options):
  return list(tables.columns(path, fields, **options))


def test_columns_come_by_name_or_number_with_their_line(tmp_path):
  path = write(tmp_path, 'text,label\ngood film,1\nbad film,0\n')
  expected = [(f'{path}:2', ('1', 'good film')),
              (f'{path}:3', ('0', 'bad film'))]
  assert read(path, ['label', 'text']) == expected
  assert read(path, ['1', '0']) == expected


def test_quotes_hold_delimiters_quotes_and_line_ends(tmp_path):
  path = write(tmp_path, '1,"a, ""b""\nc"\n2,d\n')
  assert read(path, ['1'], header=False) == [
      (f'{path}:1', ('a, "b"\nc',)), (f'{path}:3', ('d',))]


def test_without_quoting_a_quote_is_a_character(tmp_path):
  path = write(tmp_path, 'text\tlabel\n"so" good\t1\nan " alone\t0\n')
  for tab in ('\t', '\\t'):
    rows = read(path, ['text'], delimiter=tab, quoted=False)
    assert [row for _, row in rows] == [('"so" good',), ('an " alone',)]


def test_blank_rows_are_dropped_and_gzip_is_read(tmp_path):
  path = tmp_path / 'rows.csv.gz'
  path.write_bytes(gzip.compress(b'text,label\n\na,1\n,\n'))
  assert [row for _, row in read(str(path), ['text'])] == [('a',)]
  kept = read(str(path), ['text'], drop_blank=False)
  assert kept == [(f'{path}:3', ('a',)), (f'{path}:4', ('',))]


def test_a_long_value_is_read_and_an_open_quote_ends_somewhere(
    tmp_path, monkeypatch):
  limit = csv.field_size_limit(131_072)  # Python's own, in any order of tests.
  long = 'x' * 200_000
  path = write(tmp_path, f'text,label\n"{long}",1\n')
  try:
    assert read(path, ['text']) == [(f'{path}:2', (long,))]
    csv.field_size_limit(1 << 30)  # As a user of this process may need.
    read(path, ['text'])
    assert csv.field_size_limit() == 1 << 30
    csv.field_size_limit(131_072)
    monkeypatch.setattr(tables, '_MAX_LINE_BYTES', 150_000)
    path = write(tmp_path, 'text\n"' + 'yes\n' * 40_000)
    with pytest.raises(errors.InputError, match=':2: .*150000.*quoted=False'):
      read(path, ['text'])
  finally:
    csv.field_size_limit(limit)


def test_the_name_of_a_file_says_what_is_between_columns(tmp_path):
  for name in 'a.tsv', 'b.csv':
    mark = '\t' if name == 'a.tsv' else ','
    path = write(tmp_path, f'text{mark}label\na,b;c\td{mark}1\n'.replace(
        'a,b;c\td', 'a;b'), name)
    assert read(path, ['label']) == [(f'{path}:2', ('1',))]


@pytest.mark.parametrize('encoding', ['latin-1', 'utf-16', 'utf-8-sig'])
def test_files_are_read_in_their_encoding(tmp_path, encoding):
  path = tmp_path / 'a.csv'
  path.write_bytes('text,label\ndéjà vu,1\n'.encode(encoding))
  assert read(str(path), ['text'], encoding=encoding) == [
      (f'{path}:2', ('déjà vu',))]
  source = tables.Delimited((str(path),), encoding=encoding)
  assert list(source.documents()) == ['déjà vu']


@pytest.mark.parametrize('text, options, message', [
    ('text;label\na;1\n', {}, "Set delimiter=';'"),
    ('text\tlabel\na\t1\n', {}, r"Set delimiter='.t'"),
    ('fine film,1\n', {}, 'If the first row is no header, set header=False'),
    ('a,1\n', {'header': False}, 'columns have numbers from 0'),
    ('text,label\na,1\n', {'fields': ['txet']}, "no column 'txet'.*'text'"),
    ('text,label\na,1\n', {'fields': ['2']}, "no column '2'"),
    ('a,1\n', {'header': False}, r"no column 'text' among \[0, 1\]"),
    ('text,label\na,1\nb\n', {}, ':3: 1 columns, .* has 2'),
    ('text,label\na,b,1\n', {}, ':2: 3 columns'),
    ('text,label\n', {}, 'no row below its header'),
    ('\n\n', {}, 'no column'),
    ('', {}, 'has no rows'),
    ('text,label\n"a,1\n', {}, ':2: .*quoted=False'),
    ('text\na\n', {'delimiter': ', '}, 'single character'),
])
def test_bad_files_and_columns_are_refused(tmp_path, text, options, message):
  options = {'fields': ['text']} | options
  with pytest.raises(errors.InputError, match=message):
    list(tables.columns(write(tmp_path, text), **options))


def test_a_column_is_a_source_of_documents(tmp_path):
  path = write(tmp_path, 'sentence\tlabel\ngood \t1\nbad \t0\n', 'a.tsv')
  source = tables.Delimited((path,), 'sentence', delimiter='\\t', quoted=False)
  assert list(source.documents()) == ['good ', 'bad ']
  other = tables.Delimited((path,), 'label', delimiter='\\t', quoted=False)
  assert source.fingerprint() != other.fingerprint()
