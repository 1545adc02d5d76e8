"""An index and its shards agree, or are refused."""
import json

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.interop.formats import mapped
from lmjax.interop.formats import shards
from lmjax.interop.formats import tensors
from tests.reference import fuzz

INDEX = 'weights' + shards.SUFFIX


def open_file(path):
  """Opens a toy format: a file holds the names of its tensors."""
  return {name: tensors.Tensor.of(np.zeros(len(name)))
          for name in mapped.content(path).tobytes().decode('latin-1').split()}


@pytest.fixture
def folder(tmp_path):
  (tmp_path / 'one').write_text('a b')
  (tmp_path / 'two').write_text('cc')
  return tmp_path


def index(folder, where):
  text = where if isinstance(where, str) else json.dumps(
      {'weight_map': where})
  (folder / INDEX).write_text(text)
  return folder


def names(path):
  return set(shards.open_weights(path, 'weights', open_file))


def test_all_shards_are_opened(folder):
  index(folder, {'a': 'one', 'b': 'one', 'cc': 'two'})
  assert names(folder) == names(folder / INDEX) == {'a', 'b', 'cc'}


def test_one_file_is_opened(folder):
  (folder / 'weights').write_text('x')
  assert names(folder) == names(folder / 'weights') == {'x'}
  assert names(folder / 'two') == {'cc'}


def test_a_tensor_that_the_index_leaves_out_is_found(folder):
  assert names(index(folder, {'a': 'one'})) == {'a', 'b'}


def test_a_folder_without_weights_is_refused(folder):
  with pytest.raises(errors.InputError, match='should hold weights or '):
    names(folder)


def test_a_link_that_leads_out_of_the_folder_is_refused(folder):
  inner = folder / 'inner'
  inner.mkdir()
  (inner / 'weights').symlink_to(folder / 'one')
  with pytest.raises(errors.InputError, match='leads out'):
    names(inner)


@pytest.mark.parametrize('where, why', [
    ({'a': '../one'}, r"has a '\.\.'"), ({'a': '/etc/passwd'}, 'is absolute'),
    ({'a': 'two'}, "'a' is in two, but it is not"),
    ({'a': 'one', 'b': 'two', 'cc': 'two'}, "'b' is in two, .* is in one"),
    ({'z': 'one'}, "'z' is in one, but it is not"),
    ({}, 'should map names to files'), ({'a': 1}, 'should map names to files'),
    ('[]', 'hold an object'), ('{', 'not an index'), ('"\ud800"', 'not an index'),
    ('{"weight_map": {"a": "one", "a": "two"}}', 'comes twice')])
def test_an_index_that_misleads_is_refused(folder, where, why):
  if isinstance(where, str):
    (folder / INDEX).write_bytes(where.encode('utf-8', 'surrogatepass'))
  else:
    index(folder, where)
  with pytest.raises(errors.InputError, match=why):
    names(folder)


def test_shards_in_a_cache_are_opened(tmp_path):
  folder = tmp_path / 'snapshots' / 'main'
  folder.mkdir(parents=True)
  blobs = tmp_path / 'blobs'
  blobs.mkdir()
  (blobs / '0').write_text('a b')
  (blobs / '1').write_text('{"weight_map": {"a": "one", "b": "one"}}')
  (folder / 'one').symlink_to('../../blobs/0')
  (folder / INDEX).symlink_to('../../blobs/1')
  assert names(folder) == {'a', 'b'}


def fuzzed(folder, count):
  content = json.dumps({'metadata': {'total_size': 32}, 'weight_map': {
      'a': 'one', 'b': 'one', 'cc': 'two'}}).encode()
  return fuzz.check(names, folder / INDEX, fuzz.damaged(content, count))


def test_damaged_copies_of_an_index_are_read_or_refused(folder):
  read, refused = fuzzed(folder, 300)
  assert read > 10 and refused > 200


@pytest.mark.slow
def test_many_damaged_copies_of_an_index_are_read_or_refused(folder):
  assert sum(fuzzed(folder, 10_000)) == 10_000


def test_an_index_that_would_fill_the_memory_is_refused(folder):
  with open(folder / INDEX, 'wb') as file:
    file.truncate(17 << 20)
  with pytest.raises(errors.InputError, match='more than 16,777,216'):
    names(folder)


def test_a_tensor_in_two_shards_is_refused(folder):
  (folder / 'two').write_text('a')
  with pytest.raises(errors.InputError, match="'a' in two shards, one and two"):
    names(index(folder, {'a': 'one', 'b': 'two'}))
