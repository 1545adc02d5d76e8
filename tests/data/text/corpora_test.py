"""The corpora that every Python carries."""
import itertools
import pathlib
import sys
import sysconfig

import pytest

from lmjax.core import errors
from lmjax.data.text import corpora


def test_the_language_reference_is_english_of_some_size():
  texts = list(corpora.python_docs())
  assert texts == list(corpora.python_docs())
  assert len(texts) > 70 and sum(map(len, texts)) > 400_000
  assert any('The "for" statement' in text for text in texts)


def test_the_standard_library_is_source_code_without_tests():
  paths = corpora._modules()
  root = pathlib.Path(sysconfig.get_path('stdlib'))
  names = {str(path.relative_to(root)) for path in paths}
  assert {'json/decoder.py', 'dataclasses.py'} <= names
  parts = {part for name in names for part in name.split('/')}
  assert not parts & {'test', 'tests', 'site-packages', 'idle_test'}
  assert paths == sorted(paths) and len(paths) > 500
  first = next(itertools.islice(corpora.python_stdlib(), 3, None))
  assert first == paths[3].read_text()


def test_fingerprints_name_corpus_and_python():
  docs, stdlib = map(corpora.fingerprint, corpora.CORPORA)
  assert docs['sizes'] != stdlib['sizes'] and docs['python'] >= '3.11'
  assert docs == corpora.fingerprint('python-docs')


def test_a_python_without_its_library_is_refused(monkeypatch, tmp_path):
  monkeypatch.setitem(sys.modules, 'pydoc_data', None)
  with pytest.raises(errors.InputError, match='no pydoc_data'):
    next(corpora.python_docs())
  monkeypatch.setattr(sysconfig, 'get_path', lambda name: str(tmp_path))
  with pytest.raises(errors.InputError, match='no source code'):
    next(corpora.python_stdlib())
