"""Tagged words of TFDS, by the names of their tags."""
import pytest

from lmjax.core import errors
from lmjax.tasks.readers.words import tagged
from lmjax.tasks.readers.words import tfds_words

NAMES = ['O', 'B-per', 'I-per']


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
  """A data set of TFDS as conll2003 is, with a sentence without words."""
  import tensorflow_datasets

  class Names(tensorflow_datasets.core.GeneratorBasedBuilder):
    VERSION = tensorflow_datasets.core.Version('1.0.0')

    def _info(self):
      features = tensorflow_datasets.features
      return self.dataset_info_from_configs(
          features=features.FeaturesDict({
              'tokens': features.Sequence(features.Text()),
              'ner': features.Sequence(features.ClassLabel(names=NAMES)),
              'place': features.Text()}),
          disable_shuffling=True)

    def _split_generators(self, dl_manager):
      return {'train': self._generate_examples()}

    def _generate_examples(self):
      for i, (words, tags) in enumerate((
          (['Zoë', 'Li', 'sings'], [1, 2, 0]), ([], []), (['Go'], [0]))):
        yield i, {'tokens': words, 'ner': tags, 'place': 'here'}

  path = tmp_path_factory.mktemp('tfds')
  Names(data_dir=path).download_and_prepare(file_format='array_record')
  return str(path)


@pytest.mark.slow
def test_words_have_their_tags_by_name(prepared):
  reader = tfds_words.TfdsWords('names', data_dir=prepared)
  first, second = reader.examples()
  assert first == (('Zoë', 'Li', 'sings'), ('B-per', 'I-per', 'O'),
                   'names (train), row 0')
  assert second.words == ('Go',)
  assert tagged.Tagged(reader, reader, reader, drop_shared=False
                       ).read().labels == ('O', 'B-per', 'I-per')
  for options, message in (
      ({'tags': 'place'}, "'place' of names is no sequence of tags"),
      ({'tags': 'pos'}, "no field 'pos'"),
      ({'words': 'ner'}, 'should be a word in UTF-8')):
    with pytest.raises(errors.InputError, match=message):
      list(tfds_words.TfdsWords('names', data_dir=prepared, **options
                                ).examples())
