"""Columns of CSV and TSV files, and what is said of malformed ones."""
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


@pytest.mark.parametrize('text, options, message', [
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
