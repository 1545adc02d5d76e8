"""Names of labels: of every type that a file can hold."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.tasks.readers.texts import delimited
from lmjax.tasks.readers.texts import in_memory
from lmjax.tasks.readers.texts import json_lines
from lmjax.tasks.readers.texts import label_first
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks.readers.texts import labels
from lmjax.tasks.readers.texts import parallel_files


@pytest.mark.parametrize('value, name', [
    (1, '1'), (1.0, '1'), ('1.0', '1'), (' 1 ', '1'), (-0.0, '0'), (1e20, '1' + '0' * 20),
    (0.5, '0.5'), ('1.10', '1.10'), ('1.', '1.'), ('v1.0', 'v1.0'), ('', ''),
    (True, 'true'), (False, 'false'), ('True', 'True'), ('a b', 'a b'),
    (np.int64(3), '3'), (np.float32(2), '2'), (np.bool_(True), 'true'),
])
def test_a_label_has_one_name(value, name):
  assert labels.name(value, 'f:1') == name


@pytest.mark.parametrize('value', [
    None, [1], {'a': 1}, float('nan'), float('inf'), b'a'])
def test_other_values_are_refused_with_their_place(value):
  with pytest.raises(errors.InputError, match='f:1: a label should be text, a'):
    labels.name(value, 'f:1')


def test_labels_are_renamed_however_they_are_written():
  name_of = labels.named(('0=no', '1.0=a=b'))
  found = [name_of(label, 'f:1') for label in (' 0', 0.0, 1, '2 ')]
  assert found == ['no', 'no', 'a=b', '2']
  with pytest.raises(errors.InputError, match="pairs such as '1=positive'"):
    labels.named(('no',))


def test_labels_are_in_the_order_of_numbers_or_names():
  assert labels.ordered(['10', '9', '10']) == ('9', '10')
  assert labels.ordered(['b', 'a10', 'a9']) == ('a10', 'a9', 'b')


def test_the_most_frequent_of_many_labels_are_told():
  many = [str(i) for i in range(40) for _ in range(i)] + ['0'] * 2000
  told = labels.told(many)
  assert told.startswith('labels: 40 in all, most often 0 (2,000), 39 (39), 38')
  assert told.endswith('31 (31).')


def _written(tmp_path, name, text):
  (tmp_path / name).write_text(text)
  return str(tmp_path / name),


@pytest.mark.parametrize('reader', ['csv', 'tsv', 'jsonl', 'first', 'two', 'memory'])
def test_every_reader_has_one_class_for_1_and_1_0(tmp_path, reader):
  write = lambda name, text: _written(tmp_path, name, text)
  readers = {
      'csv': lambda: delimited.Delimited(
          write('a.csv', 'text,label\na,1\nb,1.0\nc,0\n')),
      'tsv': lambda: delimited.Delimited(
          write('a.tsv', 'text\tlabel\na\t1\nb\t1.0\nc\t0\n')),
      'jsonl': lambda: json_lines.JsonLines(write(
          'a.jsonl', '{"text": "a", "label": 1}\n{"text": "b", "label": 1.0}\n'
          '{"text": "c", "label": "0"}\n')),
      'first': lambda: label_first.LabelFirst(write('a', '1 a\n1.0 b\n0\tc\n')),
      'two': lambda: parallel_files.ParallelFiles(
          write('a', 'a\nb\nc\n'), write('b', '1\n1.0\n0\n')),
      'memory': lambda: in_memory.InMemory((('a', 1), ('b', 1.0), ('c', '0')))}
  one = readers[reader]()
  splits = labelled.Labelled(one, one, one, drop_shared=False).read()
  assert splits.labels == ('0', '1')
  assert splits.notes[0] == 'labels: 0 (1), 1 (2).'


@pytest.mark.parametrize('value', ['null', '[1]', '{"a": 1}', 'NaN'])
def test_json_values_that_name_no_class_are_refused(tmp_path, value):
  path = _written(tmp_path, 'a.jsonl', '{"text": "a", "label": 1}\n'
                  '{"text": "b", "label": %s}\n' % value)
  with pytest.raises(errors.InputError, match='a.jsonl:2: '):
    list(json_lines.JsonLines(path).examples())
