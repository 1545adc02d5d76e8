"""Inputs in every format give JSON lines, or an error of one sentence."""
import gzip
import io
import json
import os
import threading
import types

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation.downstream.written import generated
from lmjax.recipes.loaded import predicting
from lmjax.recipes.loaded import tuned
from lmjax.tasks import seq2seq
from lmjax.tasks import task as task_lib
from lmjax.tasks.written import memory_pairs
from lmjax.tasks.written import paired_texts


class Lengths:
  """A run that predicts how long a text is; stands in for `tuned.Tuned`."""

  def __init__(self, texts=1):
    self.splits = task_lib.Splits((), (), (), texts=texts)

  def stream(self, inputs):
    for i, given in enumerate(inputs):
      yield {'index': i} | task_lib.shown(given) | {
          'predicted': len(given.text) or None}


def read(name, raw, folder, texts=1, **options):
  """Returns the texts, label and place of what a file holds."""
  path = folder / name
  path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
  inputs = predicting.Inputs(str(path), **options)
  return [(*e.texts, e.label, e.where.removeprefix(f'{path}:'))
          for e in inputs.examples(texts)]


LINES = [('one', None, '1'), ('', None, '2'), ('t,"wo', None, '3')]


@pytest.mark.parametrize('name, raw, options, want', [
    ('a.txt', 'one\r\n\nt,"wo\n', {}, LINES),
    ('a', b'\xef\xbb\xbfone\n \nt,"wo', {}, LINES),
    # Without a time, so that each worker gives the test the same name.
    ('a.gz', gzip.compress(b'one\n\nt,"wo\n', mtime=0), {}, LINES),
    ('a.csv', 'one\n\nt,"wo\n', {'format': 'lines'}, LINES),
    ('a.csv', 'text,label\none,x\n"tw\no",y\n', {},
     [('one', None, '2'), ('tw\no', None, '3')]),
    ('a.csv', 'text,label\n\none,x\n,\n', {},  # A blank line is no row.
     [('one', None, '3'), ('', None, '4')]),
    ('a.csv', 'title;body;y\nA;b;1\n',
     {'text': ('title', 'body'), 'label': 'y', 'delimiter': ';',
      'rename': ('1=yes',)}, [('A b', 'yes', '2')]),
    ('a.tsv', 'one\tx\n"wo\ty\n', {
        'text': ('0',), 'label': '1', 'header': False, 'quoted': False},
     [('one', 'x', '1'), ('"wo', 'y', '2')]),
    ('a.jsonl', '{"text": "one", "y": 3}\n\n{"text": "", "y": 4}\n', {},
     [('one', None, '1'), ('', None, '3')]),
    ('a.jsonl.gz', gzip.compress(b'{"text": "one", "y": 3}\n', mtime=0), {
        'label': 'y'}, [('one', '3', '1')]),
    ('a.txt', '1 one\n0 two\n', {
        'format': 'label_first', 'rename': ('1=yes', '0=no')},
     [('one', 'yes', '1'), ('two', 'no', '2')]),
    ('a.txt', 'New B-x\nYork I-x\n\nHi O\n', {'format': 'conll'},
     [('["New", "York"]', '["B-x", "I-x"]', '1'), ('["Hi"]', '["O"]', '4')]),
    ('a.csv', 'text\ndéjà\n'.encode('latin-1'), {'encoding': 'latin-1'},
     [('déjà', None, '2')]),
    ('a.jsonl', '{"text": "déjà"}\n'.encode('utf-16'), {'encoding': 'utf-16'},
     [('déjà', None, '1')]),
    ('a.txt', 'déjà\n'.encode('latin-1'), {'on_bad_text': 'replace'},
     [('d\ufffdj\ufffd', None, '1')]),
])
def test_a_file_is_read_as_its_name_or_a_flag_says(
    tmp_path, name, raw, options, want):
  assert read(name, raw, tmp_path, **options) == want


@pytest.mark.parametrize('name, raw, options', [
    ('a.txt', 'one\ttwo\n', {}),
    ('a.csv', 'a,b\none,two\n', {'text': ('a',), 'second': ('b',)}),
    ('a.jsonl', '{"text": "one", "b": "two"}', {'second': ('b',)})])
def test_pairs_are_two_columns_or_what_a_tab_separates(
    tmp_path, name, raw, options):
  found, = read(name, raw, tmp_path, 2, **options)
  assert found[:3] == ('one', 'two', None)


def test_a_blank_line_is_a_pair_of_empty_texts(tmp_path):
  assert read('a', 'a\tb\n\n', tmp_path, 2)[1] == ('', '', None, '2')


def test_texts_at_hand_are_lines():
  one, pair = predicting.Inputs(texts=(' a\tb',)), predicting.Inputs(
      texts=('a\tb',))
  assert next(one.examples(1)) == ('a\tb', None, '--texts number 0', None)
  assert next(pair.examples(2)).texts == ('a', 'b')


@pytest.mark.parametrize('name, raw, texts, options, told', [
    ('a.csv', 'txet,y\na,b\n', 1, {}, "no column 'text'.*Did you mean 'txet'"),
    ('a.csv', 'text,y\na,b\n', 1, {'label': 'x'}, "no column 'x' among"),
    ('a.jsonl', '{"txet": "a"}', 1, {}, ":1: no field 'text'.*mean 'txet'"),
    ('a.jsonl', '{"text": 3}', 1, {}, ":1: field 'text' should be a string"),
    ('a.jsonl', 'text\n', 1, {}, ':1: not JSON'),
    ('a.txt', b'a\n\xff\n', 1, {}, 'a.txt:2: invalid UTF-8'),
    ('a.txt', 'a\tb\nc\n', 2, {}, ":2 should hold 2 texts.*got 1: 'c'"),
    ('a.txt', 'a\tb\tc\n', 2, {}, ':1 should hold 2 texts.*got 3'),
    ('a.csv', 'text,b\na,b\n', 2, {}, 'of 2 texts: name .* --second'),
    ('a.csv', 'text,b\na,b\n', 1, {'second': ('b',)},
     'of 1 text: leave out .* --second'),
    ('a.txt', 'a\n', 1, {'label': 'y'}, '--label names a column.*--format=csv'),
    ('a.txt', 'a\tb\n', 2, {'second': ('b',)}, '--second names a column'),
    ('a.txt', '', 1, {}, r'is empty \(0 bytes\)'),
    ('a.csv', 'text\n', 1, {}, 'no row below its header'),
    ('a.txt', 'a\n', 1, {'format': 'cvs'}, "'cvs'; choose from"),
])
def test_what_cannot_be_read_is_refused(
    tmp_path, name, raw, texts, options, told):
  with pytest.raises(errors.InputError, match=told):
    read(name, raw, tmp_path, texts, **options)


def test_nothing_to_read_is_refused():
  for neither_or_both in {}, {'path': 'a.txt', 'texts': ('a',)}:
    with pytest.raises(errors.InputError, match='either --input or --texts'):
      predicting.Inputs(**neither_or_both).examples(1)
  with pytest.raises(errors.InputError, match='--label names a column.*--texts'):
    predicting.Inputs(texts=('a',), label='y').examples(1)
  with pytest.raises(errors.InputError, match="No file 'absent'"):
    list(predicting.Inputs('absent').examples(1))


def test_lines_go_to_standard_output_and_the_rest_elsewhere(tmp_path, capsys):
  (tmp_path / 'a.txt').write_text('one\n\nthree\n')
  assert predicting.predict(
      Lengths(), predicting.Inputs(str(tmp_path / 'a.txt'))) is None
  shown = capsys.readouterr()
  assert [json.loads(line) for line in shown.out.splitlines()] == [
      {'index': 0, 'text': 'one', 'predicted': 3},
      {'index': 1, 'text': '', 'predicted': None},
      {'index': 2, 'text': 'three', 'predicted': 5}]
  assert '3 answers in ' in shown.err and '1 without a text' in shown.err


def test_a_file_of_answers_appears_whole_or_not_at_all(tmp_path, capsys):
  path, out = tmp_path / 'a.txt', tmp_path / 'out.jsonl'
  out.write_text('old')
  path.write_bytes(b'one\n\xff\n')
  inputs = predicting.Inputs(str(path))
  with pytest.raises(errors.InputError, match='invalid UTF-8'):
    predicting.predict(Lengths(), inputs, str(out))
  assert out.read_text() == 'old'
  path.write_text('one\n')
  predicting.predict(Lengths(), inputs, str(out))
  assert json.loads(out.read_text())['predicted'] == 3
  assert sorted(p.name for p in tmp_path.iterdir()) == ['a.txt', 'out.jsonl']
  assert str(out) in capsys.readouterr().out


def test_standard_input_and_pipes_are_read(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr('sys.stdin', io.TextIOWrapper(
      io.BytesIO('Grüße\n'.encode()), encoding='ascii'))
  predicting.predict(Lengths(), predicting.Inputs('-'))
  os.mkfifo(tmp_path / 'pipe')
  writer = threading.Thread(
      target=(tmp_path / 'pipe').write_bytes, args=[b'text\nabc\n'])
  writer.start()
  predicting.predict(
      Lengths(), predicting.Inputs(str(tmp_path / 'pipe'), format='csv'))
  writer.join()
  found = [json.loads(line)['text']
           for line in capsys.readouterr().out.splitlines()]
  assert found == ['Grüße', 'abc']


def test_an_empty_pipe_is_refused(monkeypatch):
  monkeypatch.setattr('sys.stdin', io.TextIOWrapper(io.BytesIO()))
  with pytest.raises(errors.InputError, match='- holds no text'):
    predicting.predict(Lengths(), predicting.Inputs('-'))


class Writer(Lengths):
  """A run that writes each text in capitals."""
  config = types.SimpleNamespace(task=seq2seq.Seq2Seq(
      source=paired_texts.PairedTexts(memory_pairs.MemoryPairs((('a', 'b'),)))))

  def answer(self, inputs):
    return tuned.Answered([
        task_lib.shown(each) | {
            'predicted': each.text.upper() or None, 'targets': [each.label]}
        for each in inputs], inputs, [], None)

  def judge(self, answered):
    return generated.Generated(
        generated.Scores(('exact',)),
        (generated.Written('one', 'ONE', ('ONE',)),))


class Encoder:
  """A run whose vectors tell only whether texts are in capitals."""

  def embed(self, texts):
    return np.array([[1.0, 0.0] if text.isupper() else [0.0, 1.0]
                     for text in texts])


def test_an_encoder_tells_how_close_written_texts_are(tmp_path, capsys):
  path = tmp_path / 'pairs.csv'
  path.write_text('text,label\none,ONE\ntwo,two\nthree,THREE\n,x\n')
  inputs = predicting.Inputs(str(path), label='label')
  predicting.predict(Writer(), inputs, str(tmp_path / 'out'), Encoder())
  assert 'closeness in meaning: 0.6667 ± 0.3333' in capsys.readouterr().out


@pytest.mark.parametrize('run, label', [
    (Writer(), None), (Lengths(), 'label')])
def test_an_encoder_without_references_is_refused(tmp_path, run, label):
  run.config = getattr(run, 'config', types.SimpleNamespace(task=None))
  path = tmp_path / 'pairs.csv'
  path.write_text('text,label\none,ONE\n')
  with pytest.raises(errors.InputError, match='--label, or leave out'):
    predicting.predict(run, predicting.Inputs(str(path), label=label),
                       str(tmp_path / 'out'), Encoder())
  assert not (tmp_path / 'out').exists()
