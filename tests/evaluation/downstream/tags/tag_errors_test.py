"""Errors of entities by hand."""
import json

from lmjax.evaluation.downstream.tags import tag_errors

# One sentence for each kind of error, and one with two.
PAIRS = [
    ('B-x I-x O', 'B-x I-x O'),  # Right.
    ('B-x I-x O', 'B-x O O'), ('O B-x', 'B-x I-x'),  # Boundaries.
    ('B-x I-x O', 'B-y I-y O'),  # The type.
    ('B-y O', 'B-x I-x'),  # Both.
    ('B-y I-y O O', 'O O O B-x'),  # Missed, and another invented.
    # Two parts of one entity: the one of its type counts.
    ('B-x I-x I-x', 'B-y B-x I-x')]
TRUE, FOUND = ([row.split() for row in rows] for rows in zip(*PAIRS))


def test_every_entity_has_one_kind_of_error():
  errors = tag_errors.Entities.of(TRUE, FOUND, ('x', 'y'))
  x, y = json.loads(json.dumps(errors.to_dict()))
  assert x == {'name': 'x', 'right': 1, 'boundary': 3, 'type': 1, 'both': 0,
               'missed': 0, 'invented': 1}
  assert y == {'name': 'y', 'right': 0, 'boundary': 0, 'type': 0, 'both': 1,
               'missed': 1, 'invented': 0}
  tables = errors.tables()
  heads, rows = tables['Entities, right and wrong']
  assert len(heads) == 7 and rows == [
      ['all', '1', '3', '1', '1', '1', '1'],
      ['x', '1', '3', '1', '0', '0', '1'], ['y', '0', '0', '0', '1', '1', '0']]
  assert tables['Types taken for others'][1] == [
      ('x', 'y', '1'), ('y', 'x', '1')]
  assert tag_errors.Entities.of(TRUE, TRUE, ('x', 'y')).tables().keys() == {
      'Entities, right and wrong'}


def test_words_are_listed_by_how_often_they_are_wrong():
  words = [['a', 'b', 'c'], ['c', 'a', 'a'], ['b', 'a', 'd']]
  true = [['O', 'B', 'O'], ['O', 'O', 'O'], ['O', 'B', 'O']]
  found = [['O', 'O', 'O'], ['O', 'B', 'B'], ['O', 'O', 'O']]
  (heads, rows), = tag_errors.words(true, found, words).values()
  assert len(heads) == 6
  assert rows == [
      ('a', '3', '4', 'O', 'B', '2'), ('b', '1', '2', 'B', 'O', '1')]
  assert not tag_errors.words(true, found, None)
  assert not tag_errors.words(true, true, words)
