"""Texts without a model: copies, first words and neighbours."""
import dataclasses

from lmjax.tasks import task
from lmjax.tasks.written import example
from lmjax.tasks.written import without_model

SPLITS = task.Splits(
    [example.Pair('a red dog', ('ein Hund',), ''),
     example.Pair('two blue cats', ('zwei Katzen',), '')],
    [example.Pair('one, two three four', ('one two',), ''),
     example.Pair('five six seven', ('five six',), '')],
    [example.Pair('red  dog, old', ('x',), '')])


def test_baselines_copy_the_source_or_take_its_first_words():
  assert without_model.copy(SPLITS) == ('copy of the source', ['red  dog, old'])
  assert without_model.lead(SPLITS) == ('first 2 words', ['red  dog,'])


def test_the_nearest_source_lends_its_target(monkeypatch):
  assert without_model.nearest(SPLITS) == (
      'target of the nearest source', ['ein Hund'])
  cats = dataclasses.replace(SPLITS, test=[
      example.Pair('blue dog and blue cats', ('x',), ''),
      example.Pair('nothing alike', ('x',), '')])
  assert without_model.nearest(cats)[1] == ['zwei Katzen', 'ein Hund']
  monkeypatch.setattr(without_model, '_POOL', 1)
  assert without_model.nearest(cats)[1] == ['ein Hund'] * 2
