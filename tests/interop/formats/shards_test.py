"""An index and its shards agree, or are refused."""
import json
import pathlib

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.interop.formats import shards
from lmjax.interop.formats import tensors

INDEX = 'weights' + shards.SUFFIX


def open_file(path):
  """Opens a toy format: a file holds the names of its tensors."""
  return {name: tensors.Tensor.of(np.zeros(len(name)))
          for name in pathlib.Path(path).read_text().split()}


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
    ('[]', 'should map'), ('{', 'not an index'), ('"\ud800"', 'not an index'),
    ('{"weight_map": {"a": "one", "a": "two"}}', 'comes twice')])
def test_an_index_that_misleads_is_refused(folder, where, why):
  if isinstance(where, str):
    (folder / INDEX).write_bytes(where.encode('utf-8', 'surrogatepass'))
  else:
    index(folder, where)
  with pytest.raises(errors.InputError, match=why):
    names(folder)


def test_a_tensor_in_two_shards_is_refused(folder):
  (folder / 'two').write_text('a')
  with pytest.raises(errors.InputError, match="'a' in two shards, one and two"):
    names(index(folder, {'a': 'one', 'b': 'two'}))
