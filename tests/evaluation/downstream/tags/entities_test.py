"""Entities against conlleval's rules, and valid tags against all sequences."""
import itertools

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation.downstream.tags import entities
from lmjax.evaluation.downstream.tags import tagging


@pytest.mark.parametrize('tags, expected', [
    ('O B-x I-x O', [('x', 1, 3)]),
    ('B-x B-x', [('x', 0, 1), ('x', 1, 2)]),
    ('B-x I-y', [('x', 0, 1), ('y', 1, 2)]),
    ('O I-x I-x', [('x', 1, 3)]),
    ('I-x B-x I-x', [('x', 0, 1), ('x', 1, 3)]),  # IOB1.
    ('B-x I-x E-x S-x S-x', [('x', 0, 3), ('x', 3, 4), ('x', 4, 5)]),
    ('E-x E-x I-x', [('x', 0, 1), ('x', 1, 2), ('x', 2, 3)]),
    ('U-x I-x L-x', [('x', 0, 1), ('x', 1, 3)]),
    ('B-a-b I-a-b', [('a-b', 0, 2)]),
    ('B I O I', [('', 0, 2), ('', 3, 4)]),
    ('O O', []), ('', [])])
def test_entities_by_hand(tags, expected):
  assert entities.read(tags.split()) == expected


def conlleval(tags):
  """Entities by the rules of conlleval's startOfChunk and endOfChunk."""
  found, start, before, kind_before = [], None, 'O', ''
  for i, tag in enumerate([*tags, 'O']):
    kind, now = tag[2:], tag[0]
    pair = before + now  # Its script lacks EB, which IOBES has.
    ends = pair in {'BB', 'BO', 'IB', 'IO', 'EE', 'EI', 'EO', 'EB'} or (
        before != 'O' and kind_before != kind)
    starts = pair in {'BB', 'IB', 'OB', 'OI', 'EE', 'EI', 'OE', 'EB'} or (
        now != 'O' and kind_before != kind)
    if start is not None and ends:
      found.append((kind_before, start, i))
      start = None
    if starts:
      start = i
    before, kind_before = now, kind
  return found


@pytest.mark.parametrize('tags', [
    ['O', 'B-x', 'I-x', 'B-y', 'I-y'], ['O', 'B-x', 'I-x', 'E-x', 'I-y']])
def test_every_short_sequence_is_read_as_conlleval_reads_it(tags):
  for sequence in itertools.product(tags, repeat=5):
    assert entities.read(sequence) == conlleval(sequence), sequence


@pytest.mark.parametrize('tags, expected', [
    ('I-x B-x I-x', [('x', 1, 3)]), ('B-x I-y I-y', [('x', 0, 1)]),
    ('O I-x', []), ('B-x B-x I-x', [('x', 0, 1), ('x', 1, 3)])])
def test_a_strict_entity_begins_with_a_b(tags, expected):
  assert entities.read_strictly(tags.split()) == expected


@pytest.mark.parametrize('tags', [
    'I-x I-x O I-x B-x', 'B-x E-x O S-x S-x', 'B-x I-x O I-x B-x'])
def test_other_schemes_become_bio(tags):
  tags = tags.split()
  found = entities.bio(entities.read(tags), len(tags))
  assert found == ('B-x', 'I-x', 'O', 'B-x', 'B-x')
  assert entities.read_strictly(found) == entities.read(tags)


SEQUENCES = {  # The same entities, of one word, of two, and next to another.
    'IOB1': 'I-x I-x B-x O I-y', 'BIO': 'B-x I-x B-x O B-y',
    'IOBES': 'B-x E-x S-x O S-y', 'BILOU': 'B-x L-x U-x O U-y'}


@pytest.mark.parametrize('name', SEQUENCES)
def test_a_scheme_is_recognised_and_written(name):
  tags = SEQUENCES[name].split()
  assert entities.scheme([['O'], tags]) == name
  found = entities.read(tags)
  assert entities.spelled(found, 5, name) == tuple(tags)
  assert entities.bio(found, 5) == tuple(SEQUENCES['BIO'].split())


@pytest.mark.parametrize('tags', ['O O', 'B-x O', 'B-x O I-x', 'I-x B-y'])
def test_other_tags_are_taken_for_bio(tags):
  assert entities.scheme([tags.split()]) == 'BIO'


def test_what_may_follow_is_what_is_read_strictly_in_full():
  tags = ['I-x', 'O', 'B-y', 'B-x', 'I-y']
  start, step = entities.allowed(tags)
  for pair in itertools.product(range(5), repeat=2):
    names = [tags[i] for i in pair]
    valid = entities.read(names) == entities.read_strictly(names)
    assert (start[pair[0]] and step[pair[0]][pair[1]]) == valid or (
        not start[pair[0]])
  assert start == (False, True, True, True, False)
  assert step[0] == (True, True, True, True, False)  # After I-x.


@pytest.mark.slow
def test_f1_is_seqevals_in_both_of_its_modes():
  seqeval = pytest.importorskip('seqeval.metrics')
  from seqeval import scheme  # pylint: disable=g-import-not-at-top
  names = ['O', 'O', 'B-x', 'I-x', 'B-y', 'I-y']
  draw = np.random.default_rng(0).choice
  for _ in range(20):
    true, found = ([[str(tag) for tag in draw(names, size)]
                    for size in (1, 3, 9, 30)] for _ in range(2))
    numbers = tagging.Tagging.of(true, found, names[1:]).metrics
    assert numbers['f1'].value == pytest.approx(
        seqeval.f1_score(true, found))
    assert numbers['strict_f1'].value == pytest.approx(seqeval.f1_score(
        true, found, mode='strict', scheme=scheme.IOB2))
    assert numbers['recall'].value == pytest.approx(
        seqeval.recall_score(true, found))


@pytest.mark.parametrize('tag', ['NN', 'x-B', 'B-', '-x', '', 'BI-x', 'o'])
def test_what_is_no_tag_is_refused_with_its_place(tag):
  with pytest.raises(errors.InputError, match=f"f:3: '{tag}' is no tag"):
    entities.check(tag, 'f:3')


@pytest.mark.parametrize('tag', ['O', 'B', 'B-x', 'L-a-b'])
def test_tags_pass(tag):
  entities.check(tag, 'f:3')


def test_the_best_valid_tags_are_those_of_all_valid_sequences():
  tags = ['I-x', 'O', 'B-y', 'B-x', 'I-y']
  rng = np.random.default_rng(0)
  differ = 0
  for _ in range(30):
    log_p_WC = np.log(rng.dirichlet(np.full(5, 0.4), size=4))
    log_p_WC[2, 1:] -= 50.0 * rng.integers(2)
    scores = {
        sequence: log_p_WC[np.arange(4), sequence].sum()
        for sequence in itertools.product(range(5), repeat=4)
        if len(entities.read_strictly([tags[i] for i in sequence]))
        == len(entities.read([tags[i] for i in sequence]))}
    best = max(scores, key=scores.get)
    assert tuple(entities.best_valid(log_p_WC, tags)) == best
    differ += tuple(log_p_WC.argmax(axis=1)) != best
  assert differ > 5
  assert entities.best_valid(np.zeros((0, 5)), tags).shape == (0,)


def test_an_inside_without_a_type_does_not_follow_o_either():
  log_p_WC = np.log([[0.6, 0.4, 0.0001], [0.2, 0.1, 0.7]])
  assert entities.best_valid(log_p_WC, ['O', 'B', 'I']).tolist() == [1, 2]
