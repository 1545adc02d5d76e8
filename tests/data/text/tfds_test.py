"""TFDS as a source: what is wrong with names, files and formats is told."""
import pathlib
import shutil
import sys

import pytest

from lmjax.core import errors
from lmjax.data.text import sources
from lmjax.data.text import tfds
from lmjax.data.text import tfds_builder

NAME = 'text_corpus/letters'
TEXTS = tuple('abcdefghij')


@pytest.fixture(scope='module')
def prepared(tmp_path_factory) -> pathlib.Path:
  path = tmp_path_factory.mktemp('tfds')
  tfds_builder.prepare('letters', {'train': sources.InMemory(TEXTS)}, path)
  return path


@pytest.fixture
def data_dir(prepared, tmp_path) -> pathlib.Path:
  """A copy that a test may damage."""
  return shutil.copytree(prepared, tmp_path / 'data')


def _documents(data_dir, **kwargs):
  config = {'name': NAME, 'data_dir': str(data_dir)} | kwargs
  return list(tfds.Tfds(**config).documents())


def test_rows_are_read_in_parts(data_dir, monkeypatch):
  monkeypatch.setattr(tfds, '_ROWS', 3)
  assert _documents(data_dir) == list(TEXTS)
  assert _documents(data_dir, split='train[20%:50%]') == ['c', 'd', 'e']


@pytest.mark.parametrize('change, message', [
    ({'split': 'trian'}, "no split 'trian'.*Did you mean 'train'"),
    ({'field': 'txt'}, "no field 'txt'.*Did you mean 'text'"),
    ({'name': 'text_corpus/leters'}, 'TFDS has no data set'),
    ({'name': 'lm1bb'}, "Did you mean 'lm1b'"),
    ({'split': 'train[:x]'}, "split 'train\\[:x\\]', cannot be read"),
])
def test_unknown_names_are_refused_with_the_nearest(
    data_dir, change, message):
  with pytest.raises(errors.InputError, match=message):
    _documents(data_dir, **change)


@pytest.mark.parametrize('damage, message', [
    (lambda raw: b'', r'\(0 bytes\) is truncated or damaged: 0 of its 10'),
    (lambda raw: raw[:len(raw) // 2], r'\(65,536 bytes\) is truncated'),
    (lambda raw: raw[:-10], r'\(131,062 bytes\) is truncated'),
    (lambda raw: raw[:300] + bytes([raw[300] ^ 4]) + raw[301:],
     r'\(131,072 bytes\) is damaged: .*hash mismatch.* at byte 304'),
    (None, 'is missing'),
], ids=['empty', 'half', 'tail', 'flipped', 'gone'])
def test_damaged_files_are_named_and_never_fewer_documents(
    data_dir, damage, message):
  path = next(data_dir.rglob('*.array_record*'))
  if damage is None:
    path.unlink()
  else:
    path.write_bytes(damage(path.read_bytes()))
  with pytest.raises(
      errors.InputError,
      match=f"letters, split 'train', cannot.*: {path.name}.*{message}"):
    _documents(data_dir)


def test_bytes_that_are_not_utf8_are_refused_with_their_row(
    data_dir, monkeypatch):
  rows = [{'text': b'fine'}, {'text': b'ab\xff'}]
  monkeypatch.setattr(tfds.Tfds, '_rows', lambda self, builder: iter(rows))
  with pytest.raises(errors.InputError, match='row 1: invalid UTF-8 at byte 2'):
    _documents(data_dir)


def test_other_formats_need_the_extra(data_dir, monkeypatch):
  info = next(data_dir.rglob('dataset_info.json'))
  info.write_text(info.read_text().replace('array_record', 'tfrecord'))
  monkeypatch.setitem(sys.modules, 'tensorflow', None)  # Even where it is.
  with pytest.raises(errors.InputError,
                     match=r"pip install 'lmjax\[tensorflow\]'"):
    _documents(data_dir)


def test_fingerprints_name_version_and_size(data_dir):
  source = tfds.Tfds(NAME, data_dir=str(data_dir))
  fingerprint = source.fingerprint()
  assert fingerprint['name'] == 'text_corpus/letters/1.0.0'
  assert fingerprint['sizes']['train'][0] == len(TEXTS)
  part = tfds.Tfds(NAME, 'train[:5]', data_dir=str(data_dir))
  assert part.fingerprint() != fingerprint
  assert part.contents() == source.contents()
  (name, text), = source.contents().items()
  path = next(data_dir.rglob(name))
  assert text.startswith(f'{path.stat().st_size:,} bytes, sha ')
  raw = path.read_bytes()
  path.write_bytes(raw[:300] + bytes([raw[300] ^ 4]) + raw[301:])
  assert source.contents()[name] != text
  assert source.fingerprint() != fingerprint
