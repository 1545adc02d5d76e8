"""Formats of files, by name and first bytes, and the advice on each."""
import pytest

from lmjax.core import errors
from lmjax.data.text import kinds
from lmjax.data.text import sources


@pytest.mark.parametrize('name, kind', [
    ('a.txt', None), ('csv', 'csv'), ('a.CSV', 'csv'), ('a.tab', 'tsv'),
    ('a.ndjson', 'jsonl'), ('a.jsonl.gz', 'jsonl'), ('/dev/fd/63', None),
    ('-', None), ('a.gz', None)])
def test_the_end_of_a_name_is_a_format(name, kind):
  assert kinds.of(name) == kind


@pytest.mark.parametrize('name, raw, advice', [
    ('a b.jsonl', '{"body": "x"}', "JsonLines .*paths='a b.jsonl' .*=FIELD"),
    ('a.csv', 'body\nx', 'Delimited .*paths=a.csv .*field=COLUMN'),
    ('a.tsv', 'body\nx', 'Delimited .*paths=a.tsv .*field=COLUMN'),
    ('a.json', '["x"]', 'write its texts as JSON lines'),
    ('a.parquet', 'PAR1', 'write its texts as JSON lines')])
def test_text_files_ask_back(tmp_path, monkeypatch, name, raw, advice):
  monkeypatch.chdir(tmp_path)
  (tmp_path / name).write_text(raw)
  for split_on in 'file', 'line':
    with pytest.raises(errors.InputError, match=f'{advice}.* ends in .txt'):
      list(sources.TextFiles((name,), split_on).documents())


def test_plain_text_among_tables_is_read(tmp_path):
  for name in 'a.json', 'b.txt':
    (tmp_path / name).write_text('x')
  found = sources.TextFiles((f'{tmp_path}/*',)).documents()
  assert list(found) == ['x', 'x']


@pytest.mark.parametrize('raw, what', [
    ('text'.encode('utf-16'), 'UTF-16: iconv -f UTF-16'),
    (b'\x1f\x8b\x08 ...', 'ends in .gz'), (b'%PDF-1.7\n', 'a PDF'),
    (b'PK\x03\x04', 'a ZIP archive'), (b'PAR1\x15\x04', 'a Parquet table')])
def test_other_formats_are_told_by_their_first_bytes(tmp_path, raw, what):
  (tmp_path / 'a').write_bytes(raw)
  for split_on in 'file', 'line':
    source = sources.TextFiles((str(tmp_path / 'a'),), split_on)
    with pytest.raises(errors.InputError, match=f'is not text but .*{what}'):
      list(source.documents())
