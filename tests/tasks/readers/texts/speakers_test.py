"""Speeches become examples without their headings; folds test each once."""
import collections

import pytest

from lmjax.core import errors
from lmjax.tasks.readers.texts import speakers
from lmjax.tasks import task

PLAY = [f'ROMEO:\nBut soft, number {i}!' for i in range(12)] + [
    f'First Citizen:\nSpeak {i}.\nAgain.' for i in range(11)] + [
        'All:\nSpeak, speak.', 'a stage direction', 'LATE:\n  ']


def test_the_most_frequent_speakers_and_their_words():
  examples, names = speakers.read(PLAY, speakers=3)
  assert names == ('ROMEO', 'First Citizen')  # The others speak too rarely.
  assert len(examples) == 23
  assert examples[0].text == 'But soft, number 0!'
  assert examples[12].text == 'Speak 0.\nAgain.'
  assert not any(e.label in e.text for e in examples)


def test_what_counts_as_a_speech():
  more = [*PLAY, 'ROMEO:\n   ', *12 * ['A' + 30 * 'very ' + 'long name:\nHo!']]
  examples, names = speakers.read(more, least=11)  # Two speak as often.
  assert names == ('ROMEO', 'First Citizen') and len(examples) == 23


def test_folds_deal_out_each_speakers_speeches_in_turn():
  examples = [task.Example(str(i), 'AB'[i % 2], str(i)) for i in range(8)]
  for _, test in speakers.folds(examples, 2):
    assert sorted(examples[i].label for i in test) == ['A', 'A', 'B', 'B']


def test_each_speech_is_tested_once_and_every_fold_has_its_share():
  examples, names = speakers.read(PLAY)
  folds = speakers.folds(examples, 5)
  assert sorted(i for _, test in folds for i in test) == list(range(23))
  for train, test in folds:
    assert not set(train) & set(test) and len(train) + len(test) == 23
    counts = collections.Counter(examples[i].label for i in test)
    assert all(2 <= counts[name] <= 3 for name in names)


def test_what_is_no_play_is_refused():
  with pytest.raises(errors.InputError, match='at least 2 speakers with 10 speeches'):
    speakers.read(PLAY[:13])
