"""Utterances of TFDS: tags and intents by name."""
import pytest

from lmjax.core import errors
from lmjax.tasks.readers.words import spoken
from lmjax.tasks.readers.words import tfds_utterances

ROWS = (
    (['play', 'Zoë'], [0, 1], 1, 'music'), ([], [], 0, 'none'),
    (['rain', 'today', '?'], [0, 2, 0], 0, 'weather'))
UNKNOWN = (['stop'], [0], -1, '')  # As in a split without labels.


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
  """A data set of TFDS whose texts have an intent, as a class and as text."""
  import tensorflow_datasets

  class Spoken(tensorflow_datasets.core.GeneratorBasedBuilder):
    VERSION = tensorflow_datasets.core.Version('1.0.0')

    def _info(self):
      features = tensorflow_datasets.features
      return self.dataset_info_from_configs(
          features=features.FeaturesDict({
              'tokens': features.Sequence(features.Text()),
              'tags': features.Sequence(features.ClassLabel(
                  names=['O', 'B-artist', 'B-day'])),
              'intent': features.ClassLabel(names=['ask', 'play']),
              'topic': features.Text()}),
          disable_shuffling=True)

    def _split_generators(self, dl_manager):
      return {'train': self._generate_examples(ROWS),
              'test': self._generate_examples([UNKNOWN])}

    def _generate_examples(self, rows):
      for i, (words, tags, intent, topic) in enumerate(rows):
        yield i, {'tokens': words, 'tags': tags, 'intent': intent,
                  'topic': topic}

  path = tmp_path_factory.mktemp('tfds')
  Spoken(data_dir=path).download_and_prepare(file_format='array_record')
  return str(path)


@pytest.mark.slow
def test_utterances_have_their_tags_and_intent_by_name(prepared):
  reader = tfds_utterances.TfdsUtterances('spoken', data_dir=prepared)
  first, second = reader.examples()
  assert first == (('play', 'Zoë'), ('O', 'B-artist'),
                   'spoken (train), row 0', 'play')
  assert second.words == ('rain', 'today', '?') and second.label == 'ask'
  found = tfds_utterances.TfdsUtterances(
      'spoken', label='topic', data_dir=prepared).examples()
  assert [utterance.label for utterance in found] == ['music', 'weather']
  splits = spoken.Spoken(reader, reader, reader, drop_shared=False).read()
  assert [part.labels for part in splits.parts] == [
      ('ask', 'play'), ('O', 'B-artist', 'B-day')]
  for options, message in (
      ({'tags': 'topic'}, 'is no sequence of tags with names'),
      ({'label': 'tokens'}, 'label'), ({'label': 'mood'}, "no field 'mood'"),
      ({'split': 'test'}, "label -1 is not one of")):
    with pytest.raises(errors.InputError, match=message):
      list(tfds_utterances.TfdsUtterances(
          'spoken', data_dir=prepared, **options).examples())
