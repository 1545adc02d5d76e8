"""Splits of utterances: names of intents and of tags, and refusals."""
import json

import pytest

from lmjax.core import errors
from lmjax.tasks.readers.words import json_utterances
from lmjax.tasks.readers.words import spoken

TRAIN = [('play Jo Li', 'O B-x E-x', 'Play'), ('stop it', 'O O', 'Stop'),
         ('stop', 'O', 'Stop')]


def splits(path, train=TRAIN, test=TRAIN[2:], **options):
  readers = []
  for name, rows in ('train', train), ('test', test):
    (path / f'{name}.jsonl').write_text(''.join(json.dumps({
        'tokens': words.split(), 'tags': tags.split(), 'label': label}) + '\n'
                                                for words, tags, label in rows))
    readers.append(json_utterances.JsonUtterances(
        (str(path / f'{name}.jsonl'),)))
  return spoken.Spoken(
      readers[0], readers[1], readers[1], **options).read()


def test_intents_and_tags_have_names_of_their_own(tmp_path):
  found = splits(tmp_path)
  intents, tags = (part.labels for part in found.parts)
  assert intents == ('Play', 'Stop') and tags == ('O', 'B-x', 'I-x')
  assert found.train[0].tags == ('O', 'B-x', 'I-x') and len(found.train) == 2
  assert found.notes[:2] == (
      'intents: Play (1), Stop (2).', 'entities: x (1).')
  assert 'whose text is also in' in found.notes[2]
  assert found.notes[3] == (
      'The tags of the train split are in IOBES, and were rewritten in BIO.')
  assert type(found).of(json.loads(json.dumps(found.known()))).parts == (
      found.parts)


@pytest.mark.parametrize('given, message', [
    ({'test': [('x', 'O', 'Sing')]}, "'Sing' of the valid split never occurs"),
    ({'test': [('', '', 'Stop')]}, 'The valid split.*has no utterance'),
    ({'train': TRAIN[1:]}, 'at least 2 intents.*kind=Tagging'),
    ({'train': [*TRAIN, ('a b', 'O I-x', 'Stop')], 'on_bad_tags': 'fail'},
     'not valid')])
def test_what_does_not_fit_is_refused(tmp_path, given, message):
  with pytest.raises(errors.InputError, match=message):
    splits(tmp_path, **given)
