"""Docstrings by package: no docstring twice, no module in two splits."""
import collections

import pytest

from lmjax.core import errors
from lmjax.tasks.readers.texts import docstrings


@pytest.fixture(scope='module')
def splits():
  return docstrings.Docstrings(classes=5).read()


@pytest.mark.slow
def test_no_module_and_no_docstring_is_in_two_splits(splits):
  parts = [splits.train, splits.valid, splits.test]
  modules = [{e.where for e in part} for part in parts]
  assert all(modules)
  assert sum(map(len, modules)) == len(set.union(*modules))
  texts = [e.text for part in parts for e in part]
  assert len(texts) == len(set(texts)) > 500


@pytest.mark.slow
def test_every_class_is_in_every_split_in_about_its_share(splits):
  assert len(splits.labels) == 5 and 'asyncio' in splits.labels
  for part in (splits.train, splits.valid, splits.test):
    assert {e.label for e in part} == set(splits.labels)
  total = sum(len(p) for p in (splits.train, splits.valid, splits.test))
  assert len(splits.train) / total == pytest.approx(0.7, abs=0.08)
  assert len(splits.test) / total == pytest.approx(0.2, abs=0.06)


@pytest.mark.slow
def test_labels_are_the_packages_and_modules_are_capped(splits):
  counts = collections.Counter()
  for e in [*splits.train, *splits.valid, *splits.test]:
    assert e.where.startswith(f'{e.label}/')
    counts[e.where] += 1
  assert max(counts.values()) == 60


@pytest.mark.slow
def test_reading_twice_gives_the_same(splits):
  assert docstrings.Docstrings(classes=5).read() == splits


def test_docstrings_of_modules_classes_and_functions():
  source = b'''"""Of the module."""
x = """not one"""
class A:
  """Of the class."""
  async def f(self):
    """Of
    the method.
    """
def g(): pass
'''
  assert docstrings.docstrings(source) == [
      'Of the module.', 'Of the class.', 'Of\nthe method.']
  assert docstrings.docstrings(b'def f(:') == []


def test_collecting_drops_short_ones_repeats_tests_and_single_modules(tmp_path):
  for name in ('a/x.py', 'a/y.py', 'a/test/z.py', 'alone.py'):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text('"""One two three four."""\n')
  (tmp_path / 'a/y.py').write_text(
      '"""One two three four."""\ndef f():\n  "Five six seven eight."\n'
      'def g():\n  "Short."\n')
  assert docstrings.collect(tmp_path, 4, 60) == {
      'a': {'a/x.py': ['One two three four.'],
            'a/y.py': ['Five six seven eight.']}}
  assert len(docstrings.collect(tmp_path, 1, 1)['a']['a/y.py']) == 1


def test_three_modules_go_to_three_splits():
  modules = {name: ['text'] * 10 for name in 'abc'}
  assert sorted(docstrings.assign(modules).values()) == [
      'test', 'train', 'valid']
  modules = {str(i): ['text'] for i in range(100)}
  assert collections.Counter(docstrings.assign(modules).values()) == {
      'train': 70, 'test': 20, 'valid': 10}


def test_impossible_sizes_are_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(  # Parsing the real one takes seconds.
      docstrings.sysconfig, 'get_path', lambda name: str(tmp_path))
  with pytest.raises(errors.InputError, match='0 packages.*classes is 999'):
    docstrings.Docstrings(classes=999).read()
  with pytest.raises(errors.InputError, match='at least 2'):
    docstrings.Docstrings(classes=1)
  with pytest.raises(errors.InputError, match='min_modules'):
    docstrings.Docstrings(min_modules=2)
