"""How predicted tags err: boundaries, types, and words that are often wrong."""
import collections
from collections.abc import Sequence
import dataclasses
from typing import Any

from lmjax.evaluation.downstream.tags import entities

KINDS = 'right', 'boundary', 'type', 'both', 'missed', 'invented'
_MOST = 20  # Rows of a table.
Table = tuple[Sequence[str], Sequence[Sequence[str]]]
Tags = Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Entities:
  """What became of each true entity, and which entities were invented.

  An entity that was not found as it is counts once, as the first of these that
  applies: 'type', if its words were found as an entity of another type;
  'boundary', if some of them, or more words than these, were found as its type;
  'both', if they were found as another type; 'missed', if none was in any
  entity. A predicted entity that shares no word with a true one is 'invented'.

  Attributes:
    types: Names of the types, in order.
    counts: Number of entities by type and kind of error, a word of `KINDS`.
    confused: Number of pairs (true type, predicted type) that differ.

  References:
    Segura-Bedmar et al., SemEval-2013 Task 9, 2013, section 6 (the kinds of
    errors of its evaluation). Chinchor and Sundheim, MUC-5 Evaluation Metrics,
    1993.
  """
  types: tuple[str, ...]
  counts: collections.Counter
  confused: collections.Counter

  @classmethod
  def of(cls, true: Tags, predicted: Tags, types: Sequence[str]) -> 'Entities':
    """Compares entities, as conlleval reads them.

    Args:
      true: The tags of each sentence.
      predicted: The predicted tags, in the same order.
      types: Names of all types.
    """
    counts, confused = collections.Counter(), collections.Counter()
    for wanted, found in zip(true, predicted):
      wanted, found = entities.read(wanted), entities.read(found)
      for entity in wanted:
        kind, as_type = _compared(entity, found)
        counts[entity.type, kind] += 1
        if kind in ('type', 'both'):
          confused[entity.type, as_type] += 1
      for entity in found:
        if not any(_meet(entity, other) for other in wanted):
          counts[entity.type, 'invented'] += 1
    return cls(tuple(types), counts, confused)

  def tables(self) -> dict[str, Table]:
    """Returns the tables of the page; an empty one is left out."""
    rows = [[name or 'entity', *(f'{self.counts[name, kind]:,}'
                                 for kind in KINDS)] for name in self.types]
    total = ['all', *(f'{sum(self.counts[name, kind] for name in self.types):,}'
                      for kind in KINDS)]
    found = {'Entities, right and wrong': (
        ('', 'right', 'wrong boundary', 'wrong type', 'both wrong', 'missed',
         'invented'), [total, *rows])}
    if self.confused:
      found['Types taken for others'] = (
          ('type', 'taken for', 'entities'),
          [(*pair, f'{count:,}') for pair, count in _most(self.confused)])
    return found

  def to_dict(self) -> list[dict[str, Any]]:
    """Returns JSON types: the counts of each type."""
    return [{'name': name} | {kind: self.counts[name, kind] for kind in KINDS}
            for name in self.types]


def words(true: Tags, predicted: Tags, texts: Tags | None
          ) -> dict[str, Table]:
  """Returns a table of the words that most often have a wrong tag.

  Args:
    true: The tags of each sentence.
    predicted: The predicted tags, in the same order.
    texts: The words of each sentence; None if they are not known.
  """
  seen, wrong = collections.Counter(), collections.Counter()
  pairs = collections.defaultdict(collections.Counter)
  for row in zip(texts or (), true, predicted):
    for word, mine, theirs in zip(*row):
      seen[word] += 1
      if mine != theirs:
        wrong[word] += 1
        pairs[word][mine, theirs] += 1
  if not wrong:
    return {}
  rows = []
  for word, count in _most(wrong):
    (mine, theirs), times = _most(pairs[word])[0]
    rows.append((word, f'{count:,}', f'{seen[word]:,}', mine, theirs,
                 f'{times:,}'))
  return {'Words most often wrong': (
      ('word', 'wrong', 'of', 'tag', 'taken for', 'times'), rows)}


def _compared(entity: entities.Entity, found: Sequence[entities.Entity]
              ) -> tuple[str, str]:
  """Returns the kind of error, and the type that an entity was found as."""
  met = [other for other in found if _meet(entity, other)]
  ways = (
      ('right', lambda other: other == entity),
      ('type', lambda other: other[1:] == entity[1:]),
      ('boundary', lambda other: other.type == entity.type),
      ('both', lambda other: True))
  for kind, fits in ways:
    for other in met:
      if fits(other):
        return kind, other.type
  return 'missed', ''


def _meet(one: entities.Entity, other: entities.Entity) -> bool:
  """Returns whether two entities share a word."""
  return one.start < other.end and other.start < one.end


def _most(counts: collections.Counter) -> list[tuple[Any, int]]:
  """Returns the most frequent items with their counts; ties by name."""
  return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST]
