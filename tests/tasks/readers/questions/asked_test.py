"""Questions from JSON lines and from TFDS."""
import json

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.tasks.readers.questions import asked


def test_questions_are_read_from_lines(tmp_path):
  rows = [{'query': 'Q', 'choices': ['a', 'b', 'c'], 'gold': 2},
          {'sentence_good': 'g', 'sentence_bad': 'b'},
          {'context_options': ['A', 'B'], 'continuation': 'c', 'gold': 1}]
  path = tmp_path / 'q.jsonl'
  path.write_text('\n'.join(map(json.dumps, rows)))
  reader = asked.QuestionLines((str(path),))
  splits = asked.Asked(reader, reader, reader, drop_shared=False).read()
  assert [question.gold for question in splits.train] == [2, 0, 1]
  assert splits.notes[0] == 'options of a question: 2 (2), 3 (1).'
  assert (splits.texts, splits.labels) == (2, ())
  splits = asked.Asked(reader, reader, reader).read()
  assert not splits.train and '3 training examples' in splits.notes[1]


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
  import tensorflow_datasets

  class Endings(tensorflow_datasets.core.GeneratorBasedBuilder):
    VERSION = tensorflow_datasets.core.Version('1.0.0')

    def _info(self):
      features = tensorflow_datasets.features
      return self.dataset_info_from_configs(
          features=features.FeaturesDict({
              'context': features.Text(), 'option1': features.Text(),
              'option2': features.Text(), 'answer': features.Text(),
              'endings': features.Sequence(features.Text()),
              'label': features.Scalar(np.int32)}),
          disable_shuffling=True)

    def _split_generators(self, dl_manager):
      return {'train': self._generate_examples([1]),
              'test': self._generate_examples([-1])}

    def _generate_examples(self, labels):
      for i, label in enumerate(labels):
        yield i, {'context': 'Grüße', 'option1': 'a', 'option2': 'ö',
                  'answer': '2', 'endings': ['x', 'ß', 'z'], 'label': label}

  path = tmp_path_factory.mktemp('tfds')
  Endings(data_dir=path).download_and_prepare(file_format='array_record')
  return str(path)


def test_questions_are_read_from_tfds(prepared):
  found, = asked.TfdsQuestions('endings', data_dir=prepared).examples()
  assert found.options == ('x', 'ß', 'z') and found.gold == 1
  assert found.contexts == ('Grüße',) * 3
  found, = asked.TfdsQuestions(
      'endings', options=('option1', 'option2'), label='answer', first=1,
      data_dir=prepared).examples()
  assert (found.options, found.gold) == (('a', 'ö'), 1)


@pytest.mark.parametrize('given, words', [
    ({'split': 'test'}, r'endings \(test\), row 0: .*should be 0 to 2'),
    ({'options': ('option1',)}, 'hold 1 options'),
    ({'options': ('ending',)}, "Did you mean 'endings'")])
def test_what_is_no_question_is_refused(prepared, given, words):
  with pytest.raises(errors.InputError, match=words):
    list(asked.TfdsQuestions('endings', data_dir=prepared, **given).examples())
