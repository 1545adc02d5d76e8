"""Labelled text from files and lists; splits that share nothing."""
import json

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.tasks import readers

TEN = tuple((f'text {i}', 'ab'[i % 2]) for i in range(10))
PAIRS = readers.InMemory(TEN)


def write(tmp_path, name, text):
  path = tmp_path / name
  path.write_text(text)
  return str(path)


def found(reader):
  return [(e.text, e.label) for e in reader.examples()]


def test_delimited_joins_texts_and_renames_labels(tmp_path):
  path = write(tmp_path, 'a.csv', '3,Title,Body\n1,T,"B, b"\n')
  reader = readers.Delimited(
      (path,), ('1', '2'), '0', header=False, rename=('3=World',))
  assert found(reader) == [('Title Body', 'World'), ('T B, b', '1')]
  assert [e.where for e in reader.examples()] == [f'{path}:1', f'{path}:2']


def test_json_lines_read_fields(tmp_path):
  rows = [{'a': 'x', 'b': 'y', 'label': 1}, {'a': 'z', 'b': '', 'label': True}]
  path = write(tmp_path, 'a.jsonl', '\n'.join(map(json.dumps, rows)))
  reader = readers.JsonLines((path,), ('a', 'b'), rename=('1=yes',))
  assert found(reader) == [('x y', 'yes'), ('z ', 'True')]


def test_label_first_lines(tmp_path):
  path = write(tmp_path, 'a.txt', '0 a bad film .\n\n1 good\n')
  assert found(readers.LabelFirst((path,), ('0=no', '1=yes'))) == [
      ('a bad film .', 'no'), ('good', 'yes')]


@pytest.mark.parametrize('kind, text, options, message', [
    (readers.Delimited, 'text,label\na\n', {}, 'x:2: 1 columns'),
    (readers.Delimited, 'text,lable\na,1\n', {},
     "no column 'label'.*Did you mean 'lable'"),
    (readers.JsonLines, '{"text": "a"}\n', {}, "x:1: no field 'label'"),
    (readers.JsonLines, '{"text": "a", "label": 1}\n{"te', {}, 'x:2: not JSON'),
    (readers.JsonLines, '[1]\n', {}, 'should be a JSON object; got list'),
    (readers.JsonLines, '{"text": 3, "label": 1}\n', {},
     "field 'text' should be a string; got int"),
    (readers.LabelFirst, '1 good\nbad\n', {}, 'x:2: should be a label'),
    (readers.LabelFirst, '1 good\n', {'rename': ('1',)}, "rename.*got '1'"),
    (readers.LabelFirst, '', {}, 'is empty'),
])
def test_what_is_wrong_is_named(tmp_path, kind, text, options, message):
  reader = kind((write(tmp_path, 'x', text),), **options)
  with pytest.raises(errors.InputError, match=message):
    list(reader.examples())


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
  """A labelled data set of TFDS, with a test split without labels."""
  import tensorflow_datasets

  class Reviews(tensorflow_datasets.core.GeneratorBasedBuilder):
    VERSION = tensorflow_datasets.core.Version('1.0.0')

    def _info(self):
      features = tensorflow_datasets.features
      return self.dataset_info_from_configs(
          features=features.FeaturesDict({
              'title': features.Text(), 'sentence': features.Text(),
              'label': features.ClassLabel(names=['negative', 'positive']),
              'stars': features.Scalar(np.int32)}),
          disable_shuffling=True)

    def _split_generators(self, dl_manager):
      return {'train': self._generate_examples([1, 0]),
              'test': self._generate_examples([-1])}

    def _generate_examples(self, labels):
      for i, label in enumerate(labels):
        yield i, {'title': f'Film {i}:', 'sentence': 'schön', 'label': label,
                  'stars': 2 + i}

  path = tmp_path_factory.mktemp('tfds')
  Reviews(data_dir=path).download_and_prepare(file_format='array_record')
  return str(path)


def test_tfds_labels_are_called_by_name(prepared):
  reader = readers.Tfds(
      'reviews', 'train', ('title', 'sentence'), data_dir=prepared)
  assert found(reader) == [
      ('Film 0: schön', 'positive'), ('Film 1: schön', 'negative')]
  stars = readers.Tfds(
      'reviews', 'train[1:]', ('title',), 'stars', data_dir=prepared)
  assert found(stars) == [('Film 1:', '3')]


@pytest.mark.parametrize('options, message', [
    ({'split': 'test'}, r'reviews \(test\), row 0: label -1 is none of'),
    ({'label': 'labels'}, "no field 'labels'.*Did you mean 'label'"),
    ({'text': ('sentences',)}, "no field 'sentences'"),
])
def test_what_tfds_lacks_is_named(prepared, options, message):
  options = {'text': ('sentence',), 'data_dir': prepared} | options
  with pytest.raises(errors.InputError, match=message):
    found(readers.Tfds('reviews', **options))


def test_given_splits_are_taken_as_they_are():
  test = readers.InMemory((('u', 'b'),))
  valid = readers.InMemory(((' v ', 'a'),))
  splits = readers.Labelled(PAIRS, test, valid, held_out=0.45).read()
  assert [(e.text, e.label) for e in splits.train] == list(TEN)
  assert [e.text for e in splits.valid + splits.test] == ['v', 'u']
  assert splits.labels == ('a', 'b') and not splits.notes


def test_what_is_held_out_is_a_part_that_others_do_not_have():
  many = readers.InMemory(tuple((f'text {i}', str(i % 11)) for i in range(400)))
  splits = readers.Labelled(many, held_out=0.2).read()
  texts = [{e.text for e in part}
           for part in (splits.train, splits.valid, splits.test)]
  assert [len(part) for part in texts] == pytest.approx([240, 80, 80], abs=30)
  assert sum(map(len, texts)) == 400 == len(set.union(*texts))
  assert splits.labels == tuple(str(i) for i in range(11))  # By value.


@pytest.mark.parametrize('drop', [True, False])
def test_texts_of_other_splits_leave_training_and_are_counted(drop):
  test = readers.InMemory((('text 3 ', 'a'), ('new', 'b')))
  valid = readers.InMemory((('text 5', 'a'),))
  splits = readers.Labelled(PAIRS, test, valid, drop_shared=drop).read()
  assert len(splits.train) == (8 if drop else 10)
  assert '2 training examples' in splits.notes[0]


@pytest.mark.parametrize('test, message', [
    ((('x', 'c'),), "example 0: label 'c' of the test split never occurs"),
    (((' ', 'a'),), 'example 0: the text is empty'),
    ((('x', ''),), 'example 0: the label is empty'),
    ((), 'The test split.* has no example'),
])
def test_bad_splits_are_refused(test, message):
  with pytest.raises(errors.InputError, match=message):
    readers.Labelled(PAIRS, readers.InMemory(test), PAIRS).read()


def test_too_few_examples_to_hold_out():
  few = readers.InMemory((('x', 'a'), ('y', 'b')))
  with pytest.raises(errors.InputError, match='too few to hold out'):
    readers.Labelled(few, held_out=1e-9).read()


def test_sst2_files(shared_data):
  sst2 = shared_data / 'sst2_glue'
  splits = readers.Labelled(
      readers.Delimited((str(sst2 / 'train_*.tsv'),), ('sentence',),
                        delimiter='\t', quoted=False),
      test=readers.LabelFirst((str(sst2 / 'dev.label_first.txt'),)),
      valid=readers.LabelFirst((str(sst2 / 'test.label_first.txt'),)),
      drop_shared=False).read()
  assert [len(s) for s in (splits.train, splits.valid, splits.test)] == [
      67349, 1821, 872]
  assert splits.labels == ('0', '1')
