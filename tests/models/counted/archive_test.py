"""Files of tables: saving, loading, and every kind of damage."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models.counted import archive

_FACTS = {'order': 2, 'name': 'x', 'bos_id': None}
_ARRAYS = {'a_1': np.arange(300), 'a_2': np.array([[0.5, -np.inf]])}


def _save(path, facts=_FACTS, arrays=_ARRAYS, kind='n-gram model'):
  archive.save(path, kind, facts, arrays)
  return path


def test_load_gives_what_was_saved(tmp_path):
  path = _save(tmp_path / 'any name')  # No suffix is added.
  facts, arrays = archive.load(path, 'n-gram model')
  assert facts == _FACTS and arrays.keys() == _ARRAYS.keys()
  for name, array in _ARRAYS.items():
    np.testing.assert_array_equal(arrays[name], array)
    assert arrays[name].dtype == array.dtype


@pytest.mark.parametrize('facts, arrays', [
    (_FACTS | {'order': 3}, _ARRAYS),
    (_FACTS, _ARRAYS | {'a_2': np.array([[0.5, 0.0]])}),
    (_FACTS, _ARRAYS | {'a_2': np.array([0.5, -np.inf])}),
    (_FACTS, _ARRAYS | {'a_1': np.arange(300).view(np.float64)}),
    (_FACTS, {'b': _ARRAYS['a_1'], 'a_2': _ARRAYS['a_2']}),
])
def test_digest_sees_every_difference(facts, arrays):
  assert archive.digest(_FACTS, _ARRAYS) == archive.digest(
      dict(reversed(_FACTS.items())), dict(reversed(_ARRAYS.items())))
  assert archive.digest(facts, arrays) != archive.digest(_FACTS, _ARRAYS)


def test_another_table_is_refused(tmp_path):
  path = _save(tmp_path / 'x.npz')
  with np.load(path, allow_pickle=False) as file:
    arrays = dict(file)
  np.savez(path, **arrays | {'a_1': np.ones(300)})
  with pytest.raises(errors.InputError, match='digest does not match'):
    archive.load(path, 'n-gram model')
  np.savez(path, header=str(arrays['header']).replace(
      '"version": 1', '"version": 9'))
  with pytest.raises(errors.InputError, match='version is 9, not 1'):
    archive.load(path, 'n-gram model')


def test_a_file_that_is_no_archive_is_refused(tmp_path):
  with pytest.raises(errors.InputError, match='no intact n-gram model'):
    archive.load(tmp_path / 'absent', 'n-gram model')
  path = _save(tmp_path / 'x.npz')
  with pytest.raises(errors.InputError, match='it holds an n-gram model'):
    archive.load(path, 'hidden Markov model')
  np.save(tmp_path / 'one.npy', np.arange(3))
  with pytest.raises(errors.InputError, match='fit it and save'):
    archive.load(tmp_path / 'one.npy', 'n-gram model')
  whole = path.read_bytes()
  for damaged in (b'', whole[:len(whole) // 2],
                  whole[:400] + b'xxxx' + whole[404:]):
    path.write_bytes(damaged)
    with pytest.raises(errors.InputError, match='no intact n-gram model'):
      archive.load(path, 'n-gram model')
