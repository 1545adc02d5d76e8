"""Labelled text of TFDS, by the names of its labels."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.tasks.readers.texts import tfds


def found(reader):
  return [(e.text, e.label) for e in reader.examples()]


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
  reader = tfds.Tfds(
      'reviews', 'train', ('title', 'sentence'), data_dir=prepared)
  assert found(reader) == [
      ('Film 0: schön', 'positive'), ('Film 1: schön', 'negative')]
  stars = tfds.Tfds(
      'reviews', 'train[1:]', ('title',), 'stars', data_dir=prepared)
  assert found(stars) == [('Film 1:', '3')]


@pytest.mark.parametrize('options, message', [
    ({'split': 'test'}, r'reviews \(test\), row 0: label -1 is not one of'),
    ({'label': 'labels'}, "no field 'labels'.*Did you mean 'label'"),
    ({'text': ('sentences',)}, "no field 'sentences'"),
])
def test_what_tfds_lacks_is_named(prepared, options, message):
  options = {'text': ('sentence',), 'data_dir': prepared} | options
  with pytest.raises(errors.InputError, match=message):
    found(tfds.Tfds('reviews', **options))


def test_features_of_the_second_text_make_a_pair(prepared):
  reader = tfds.Tfds('reviews', 'train[:1]', ('title',),
                     second=('sentence',), data_dir=prepared)
  example, = reader.examples()
  assert example.texts == ('Film 0:', 'schön')
