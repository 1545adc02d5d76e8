"""Columns, fields and features of rows are sources and targets."""
import json

import pytest

from lmjax.core import errors
from lmjax.data.text import tfds
from lmjax.tasks.written import field_pairs


def found(reader):
  return [(pair.source, pair.targets) for pair in reader.examples()]


def test_columns_are_named_or_numbered(tmp_path):
  (tmp_path / 'x.csv').write_text('de,en,more\nzwei,two,\neins,one,"1, I"\n')
  assert found(field_pairs.ColumnPairs(
      (str(tmp_path / 'x.csv'),), 'en', 'de', ('more',))) == [
          ('two', ('zwei',)), ('one', ('eins', '1, I'))]
  (tmp_path / 'x.tsv').write_text('say "one"\teins\n')
  assert found(field_pairs.ColumnPairs(
      (str(tmp_path / 'x.tsv'),), 0, 1, header=False, quoted=False)) == [
          ('say "one"', ('eins',))]


def test_fields_of_json_lines_are_texts(tmp_path):
  path = tmp_path / 'x.jsonl'
  row = {'body': 'Hello', 'subject': '007', 'ann0': 'hi'}
  path.write_text(json.dumps(row) + '\n' + json.dumps(row | {'ann0': 3}))
  reader = field_pairs.FieldPairs(
      (str(path),), 'body', 'subject', ('ann0',))
  assert next(reader.examples())[:2] == ('Hello', ('007', 'hi'))
  with pytest.raises(errors.InputError, match="x.jsonl:2: field 'ann0' should"):
    found(reader)
  with pytest.raises(errors.InputError, match="no field 'source' among"):
    found(field_pairs.FieldPairs((str(path),)))


def test_features_of_tfds_are_read(monkeypatch):
  monkeypatch.setattr(tfds.Tfds, 'rows', lambda self, fields: iter(
      [{field: f'{self.name} {self.split} {field}' for field in fields}]))
  assert found(field_pairs.TfdsPairs('wmt', 'test', 'de', 'en', ('fr',))) == [
      ('wmt test de', ('wmt test en', 'wmt test fr'))]
