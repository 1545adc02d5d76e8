"""A task is a value: it compares, replaces and survives a config file."""
import dataclasses
import inspect
import json
import typing

import numpy as np
import pytest

from lmjax.core import config
from lmjax import tasks
from lmjax.tasks import classification
from lmjax.tasks.readers.questions import articles
from lmjax.tasks.readers.questions import asked
from lmjax.tasks.readers.questions import squad
from lmjax.tasks.readers.texts import in_memory
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks.readers.texts import matched
from lmjax.tasks.readers.words import spaced
from lmjax.tasks.readers.words import spoken
from lmjax.tasks.readers.words import tagged
from lmjax.tasks.readers.words import utterance_folder
from lmjax.tasks import task
from lmjax.tasks import together
from lmjax.tasks.written import memory_pairs
from lmjax.tasks.written import paired_texts

MEMBERS = [name for name in vars(task.Task) if not name.startswith('_')]
KINDS = tasks.TASKS | {'Together': together.Together}
TEXTS = in_memory.InMemory((('a', '1'),))
NEEDED = {kind: kind(reader) for kind, reader in (
    (articles.Articles, squad.Squad(('a.json',))),
    (labelled.Labelled, TEXTS), (matched.Matched, TEXTS),
    (asked.Asked, asked.QuestionLines(('q.jsonl',))),
    (spoken.Spoken, utterance_folder.UtteranceFolder('folder')),
    (tagged.Tagged, spaced.Spaced(TEXTS)),
    (paired_texts.PairedTexts, memory_pairs.MemoryPairs((('a', 'b'),))))}
NEEDED[typing.get_type_hints(together.Together)['tasks']] = (
    classification.Classification(),) * 2


def made(kind):
  """Returns a task of a kind, with what it cannot do without."""
  return kind(**{field.name: NEEDED[typing.get_type_hints(kind)[field.name]]
                 for field in dataclasses.fields(kind)
                 if config.default(field) is dataclasses.MISSING})


@pytest.mark.parametrize('name', sorted(KINDS))
def test_every_task_survives_editing_and_freezing(name):
  value = made(KINDS[name])
  assert config.freeze(type(value), config.to_dict(value)) == value


@pytest.mark.parametrize('name', sorted(KINDS))
def test_every_task_follows_the_protocol(name):
  kind = KINDS[name]
  assert kind.__name__ == name  # What `kind` in flags and files says.
  assert len(MEMBERS) > 9
  for member in MEMBERS:
    theirs, ours = getattr(task.Task, member), getattr(kind, member)
    assert inspect.signature(theirs).parameters.keys() == (
        inspect.signature(ours).parameters.keys()), member
  value = made(kind)
  assert value.batch_size > 0 and value.longest > 0


def test_a_new_task_is_a_value_with_other_parts():
  one = tasks.TASKS['Classification']()
  other = dataclasses.replace(one, features=dataclasses.replace(
      one.features, batch_size=7))
  assert other != one and other.source == one.source
  with pytest.raises(dataclasses.FrozenInstanceError):
    one.source = None


def test_an_example_is_its_texts_and_its_label():
  one = task.Example('a', 'x', 'f:1')
  two = task.Example('a', 'x', 'f:2', 'b')
  assert one.texts == ('a',) and one.content == ('a', 'x')
  assert two.texts == ('a', 'b') and two.content == ('a', 'b', 'x')
  assert task.shown(one) == {'text': 'a', 'label': 'x'}
  assert task.example(('a ', 'b'), 'f:2') == two._replace(label=None)
  assert task.example(('a ',), 'f:1', ' x') == one


def test_chosen_thresholds_pass_through_json():
  part = task.Splits([], [], [], thresholds=(0.0,))
  whole = task.Splits([], [], [], parts=(part, task.Splits([], [], [])))
  chosen = dataclasses.replace(whole, parts=(
      dataclasses.replace(part, thresholds=(2.5,)), whole.parts[1]))
  tree = json.loads(json.dumps(chosen.chosen()))
  assert whole.settle(tree) == chosen
  first = task.Splits([], [], []).settle({'thresholds': [1], 'parts': []})
  assert first.thresholds == (1.0,)
  for wrong in ({}, 3, tree | {'more': 1}, tree | {'parts': []},
                tree | {'parts': [{}, {}]}, tree | {'thresholds': ['1']},
                tree | {'parts': [part.chosen() | {'thresholds': []}] * 2}):
    with pytest.raises(ValueError, match='should (be|hold)'):
      whole.settle(wrong)


def test_splits_without_their_examples_pass_through_json():
  splits = task.Splits(
      ['a'], ['b'], ['c'], ('no', 'yes'), ('A note.',), 2, (1.5, 0.5),
      (task.Splits(['a'], [], [], ('x',)),), (0.25,))
  known = json.loads(json.dumps(splits.known()))
  part, = known['parts']
  assert part == {'labels': ['x'], 'texts': 1, 'scale': [0.0, 1.0], 'parts': [],
                  'thresholds': []}
  assert known == {'labels': ['no', 'yes'], 'texts': 2, 'scale': [1.5, 0.5],
                   'parts': [part], 'thresholds': [0.25]}
  assert task.Splits.of(known) == task.Splits(
      (), (), (), ('no', 'yes'), (), 2, (1.5, 0.5),
      (task.Splits((), (), (), ('x',)),), (0.25,))
  del known['thresholds']  # As an older lmjax left it.
  assert task.Splits.of(known).thresholds == ()
  for wrong in ({}, {'more': 1}, {'labels': 'no'}, {'labels': ['no', {}]},
                {'texts': '2'}, {'scale': [1.0]}, {'thresholds': ['0.5']},
                {'parts': [{}]}):
    with pytest.raises(ValueError, match='should hold|'
                       '(labels|texts|scale|thresholds) is'):
      task.Splits.of(wrong and known | wrong)


def test_arrays_of_splits_and_their_parts_have_names():
  part = task.Splits([], [], [], fitted={'x': np.arange(2)})
  whole = task.Splits(['a'], [], [], ('n',), parts=(
      task.Splits([], [], []), part), fitted={'y': np.arange(3)})
  assert sorted(whole.arrays()) == ['1/x', 'y']
  found = whole.unread()
  assert found.train == () and found.labels == ('n',)
  assert found.fitted['y'].tolist() == [0, 1, 2]
  assert found.parts[0].fitted == {}
  assert found.parts[1].fitted['x'].tolist() == [0, 1]
  assert 'fitted' not in whole.known()
