"""Solved examples: drawn as the harness draws them, never the question."""
import random

import pytest

from lmjax.core import errors
from lmjax.evaluation.choice import questions
from lmjax.evaluation.choice import rules as choice_rules
from lmjax.evaluation.choice import shots


def _items(names):
  return [questions.Item((name, name), ('yes', 'no'), 1, f'f:{i}',
                         {'query': name}) for i, name in enumerate(names)]


def _drawn(items, pool=None, seed=7, **given):
  given = {'path': 'other.jsonl'} | given if pool else given
  return [''.join(each.contexts[0] for each in examples)
          for examples in shots.Shots(**given).of(items, pool or items, seed)]


def test_a_draw_is_the_harness_s():
  library = pytest.importorskip('lm_eval.api.samplers')
  rng = random.Random(3)
  for names in ('abcdefghijklmnopqrstuvwxyz', 'aabbc', 'abcdefgaab' * 9):
    for count in (1, 2):
      docs = [{'query': rng.choice(names)} for _ in names]
      items = _items([doc['query'] for doc in docs])
      sampler = library.ContextSampler(docs, rnd=7)
      wanted = [''.join(found['query'] for found in sampler.sample(
          count, eval_doc=doc)) for doc in docs]
      assert _drawn(items, count=count) == wanted
      sampler = library.ContextSampler(docs, rnd=7)
      wanted = [''.join(found['query'] for found in sampler.sample(count))
                for _ in 'XYZ']
      assert _drawn(_items('XYZ'), items, count=count) == wanted


def test_no_question_is_its_own_example():
  for draw in ('each', 'once', 'first'):
    for seed in range(5):
      for pool in None, _items('ccccab'):
        items = _items('aabcabddc')
        found = _drawn(items, pool, seed, count=2, draw=draw)
        assert all(item.contexts[0] not in some and len(some) == 2
                   for item, some in zip(items, found))


def test_one_draw_serves_all_questions():
  items = _items('abcdefgh')
  found = _drawn(items, count=3, draw='once')
  most = max(set(found), key=found.count)
  assert found.count(most) == 5  # Of all questions that are not in it.
  assert _drawn(items, count=3, draw='once', seed=8) != found
  assert _drawn(items, count=3, draw='first')[-1] == 'abc'


def test_seeds_count_only_if_they_change_the_draw():
  assert shots.Shots(seeds=(1, 2)).drawn == (None,)
  assert shots.Shots(count=1, draw='first').drawn == (None,)
  assert shots.Shots(count=1, seeds=(1, 2)).drawn == (1, 2)


def test_an_example_is_solved_in_the_way_of_its_rule():
  solved, asked = _items('ab')
  def before(rule, between, **given):
    return shots.Shots(count=1, **given).before(
        asked, [solved], choice_rules.RULES[rule], between)
  found = before('harness', '\nAnswer: ')
  assert found.contexts == ('a\nAnswer: no\n\nb',) * 2
  assert found.continuations == asked.continuations
  assert before('harness', ' ', separator='#', delimiter='=').contexts[0] == (
      'a=no#b')
  blank = questions.Item(('', ''), ('good', 'bad'), 0, 'f:1')
  text = lambda rule: shots.Shots(count=1).before(
      blank, [blank], choice_rules.RULES[rule], ' ').contexts[0]
  assert (text('harness'), text('shared')) == (' good\n\n', 'good\n\n')


def test_too_few_examples_are_refused():
  with pytest.raises(errors.InputError, match='at least 4 questions.* are 3'):
    _drawn(_items('abc'), count=3)
  with pytest.raises(errors.InputError, match='f:0.*only 1 of the 4'):
    _drawn(_items('aaab'), count=2, draw='first')
  for wrong in ({'seeds': ()}, {'seeds': (1, 1)}):
    with pytest.raises(errors.InputError, match='each given once'):
      shots.Shots(**wrong)
  with pytest.raises(errors.InputError, match='draw=first'):
    shots.Shots(draw='first', seeds=(1, 2))
