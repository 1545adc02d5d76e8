"""Sources yield documents, and say what is wrong with their input."""
import collections
import json
import platform

import pytest

from lmjax.core import config
from lmjax.core import errors
from lmjax.core.flags import overrides
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import tables


def _documents(source):
  counts = collections.Counter()
  return list(source.documents(counts)), counts


@pytest.mark.parametrize('split_on, want', [
    ('file', ['one\ntwo\n\nthree\n', 'four\r\n \r\nfive']),
    ('line', ['one', 'two', 'three', 'four', 'five']),
    ('paragraph', ['one\ntwo', 'three', 'four', 'five']),
])
def test_text_files_are_split_into_documents(tmp_path, split_on, want):
  (tmp_path / 'a.txt').write_bytes(b'one\ntwo\n\nthree\n')
  (tmp_path / 'b.txt').write_bytes(b'four\r\n \r\nfive')
  source = sources.TextFiles((f'{tmp_path}/*.txt',), split_on)
  assert _documents(source)[0] == want


def test_json_lines_give_one_field(tmp_path):
  path = tmp_path / 'a.jsonl'
  rows = [{'text': 'o\ne', 'id': 1}, {'text': ''}, {'text': 'twö'}]
  path.write_text('\n\n'.join(map(json.dumps, rows)) + '\n')
  documents, counts = _documents(sources.JsonLines((str(path),)))
  assert documents == ['o\ne', 'twö']
  assert counts['empty documents dropped'] == 1


@pytest.mark.parametrize('line, message', [
    ('{"text": "cut', 'a.jsonl:2: not JSON .*truncated'),
    ('["text"]', 'a.jsonl:2: should be a JSON object; got list'),
    ('{"txet": "a"}', "a.jsonl:2: no field 'text'.*Did you mean 'txet'"),
    ('{"text": 3}', "a.jsonl:2: field 'text' should be a string; got int"),
    (r'{"text": "ab\ud800"}', r"a.jsonl:2: lone surrogate '\\ud800' at "
     'character 2'),
])
def test_a_bad_json_line_is_refused_with_its_place(tmp_path, line, message):
  path = tmp_path / 'a.jsonl'
  path.write_text('{"text": "good"}\n' + line)
  with pytest.raises(errors.InputError, match=message):
    _documents(sources.JsonLines((str(path),)))


@pytest.mark.parametrize('on_bad_text, want, count', [
    ('replace', ['a\ufffd', 'b\ufffd', 'c'], 'lines of bad text repaired'),
    ('skip', ['c'], 'lines of bad text skipped')])
def test_on_bad_text_handles_surrogates_in_json(
    tmp_path, on_bad_text, want, count):
  path = tmp_path / 'a.jsonl'
  path.write_bytes(b'{"text": "a\\ud800"}\n{"text": "b\xff"}\n{"text": "c"}')
  source = sources.JsonLines((str(path),), on_bad_text=on_bad_text)
  documents, counts = _documents(source)
  assert documents == want and counts[count] == 2


def test_a_single_str_is_not_a_list_of_texts():
  with pytest.raises(errors.InputError, match=r'\[text\]'):
    sources.InMemory('hello')


@pytest.mark.parametrize('kind', [sources.TextFiles, sources.JsonLines])
def test_max_line_bytes_of_0_is_refused(kind):
  with pytest.raises(errors.InputError, match='max_line_bytes.* got 0'):
    kind(('a.txt',), max_line_bytes=0)


def test_unknown_corpora_are_refused_with_the_nearest():
  with pytest.raises(errors.InputError, match="Did you mean 'python-docs'"):
    sources.Embedded('python-doc')


def test_sources_have_different_fingerprints(tmp_path):
  path = tmp_path / 'a.txt'
  path.write_text('abc')
  seen = [json.dumps(source.fingerprint()) for source in [
      sources.InMemory(('ab', 'c')), sources.InMemory(('a', 'bc')),
      sources.TextFiles((str(path),)), sources.TextFiles((str(path),), 'line'),
      sources.JsonLines((str(path),)), sources.JsonLines((str(path),), 'body'),
      sources.Embedded('python-docs')]]
  assert len(set(seen)) == len(seen)


def test_flags_choose_a_source():
  frozen = overrides.override(pipeline.DataConfig(), {
      'source.kind': 'TextFiles', 'source.paths': 'a.txt',
      'split.kind': 'Separate', 'split.valid_source.kind': 'JsonLines',
      'split.valid_source.paths': 'b.jsonl'})
  assert frozen.source == sources.TextFiles(('a.txt',))
  assert frozen.split.valid_source == sources.JsonLines(('b.jsonl',))
  assert config.freeze(
      pipeline.DataConfig, json.loads(config.dumps(frozen))) == frozen


def test_contents_name_files_and_versions(tmp_path):
  for name in 'a.txt', 'b.jsonl', 'c.csv':
    (tmp_path / name).write_text('{"text": 1}')
  path = str(tmp_path / '*.{}').format
  assert [list(source.contents()) for source in [
      sources.TextFiles((path('txt'),)), sources.JsonLines((path('jsonl'),)),
      tables.Delimited((path('csv'),)), sources.InMemory(('a',))]] == [
          ['a.txt'], ['b.jsonl'], ['c.csv'], []]
  (name, text), = sources.Embedded('python-docs').contents().items()
  assert name == 'python-docs' and platform.python_version() in text
