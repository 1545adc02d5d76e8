"""Splits of questions, which no article is divided between."""
import collections
import dataclasses
import json

from lmjax.core import errors
from lmjax.tasks.answering import passages
from lmjax.tasks.readers.questions import articles
from lmjax.tasks.readers.questions import json_answers
import pytest


def rows(name, count, *, none=0, texts=2):
  """Returns questions about an article, some of them without an answer."""
  return [{'question': f'{name} {i}?', 'context': f'{name} text {i % texts}.',
           'answers': [] if i < none else ['text'], 'title': name,
           'id': f'{name}{i}'} for i in range(count)]


def reader(tmp_path, name, *some):
  path = tmp_path / f'{name}.jsonl'
  path.write_text(''.join(json.dumps(row) + '\n' for each in some
                          for row in each))
  return json_answers.JsonAnswers((str(path),), title='title', name='id')


@pytest.mark.parametrize('seed', range(3))
def test_articles_are_whole_and_shares_as_near_as_they_can_be(tmp_path, seed):
  source = articles.Articles(
      reader(tmp_path, 'all', *(rows(f'a{i}', 10) for i in range(20))),
      test_share=0.2, valid_share=0.1, seed=seed)
  splits = source.read()
  titles = [{q.title for q in part}
            for part in (splits.train, splits.valid, splits.test)]
  assert [*map(len, titles)] == [14, 2, 4]
  assert len(set.union(*titles)) == 20  # So that none is in two splits.
  assert splits == source.read() and splits.texts == 2
  other = dataclasses.replace(source, seed=seed + 1).read()
  assert other.test != splits.test


def test_the_held_out_articles_depend_on_titles_and_not_on_their_order():
  questions = [passages.Question('?', 'x', (), '', title)
               for title in 'abcdefgh' for _ in range(5)]
  found = articles.held_out(questions, {'test': 0.3, 'valid': 0.0}, 0)
  assert collections.Counter(found.values()) == {'test': 2, 'valid': 1}
  assert found == articles.held_out(
      questions[::-1], {'test': 0.3, 'valid': 0.0}, 0)
  most = articles.held_out(questions, {'test': 0.9, 'valid': 0.9}, 0)
  assert len(most) == 7  # One is left to train on.


def test_notes_tell_the_numbers_and_questions_about_shared_texts(tmp_path):
  train = reader(tmp_path, 'train', rows('a', 6, none=2), rows('b', 4))
  test = reader(tmp_path, 'test', rows('a', 1), rows('c', 2))
  source = articles.Articles(train, test, valid=test)
  splits = source.read()
  assert splits.notes[0] == (
      'train: 7 questions, 1 without an answer, on 3 texts of 2 articles.')
  assert splits.notes[-2:] == (
      '3 training questions about a text that is also in the validation or '
      'test split were dropped.', '3 texts are in the validation and the test '
      'split.')
  kept = dataclasses.replace(source, drop_shared=False).read()
  assert len(kept.train) == 10 and 'stay in training' in kept.notes[-2]


def test_the_threshold_answers_all_if_training_has_no_other_questions(tmp_path):
  test = reader(tmp_path, 'test', rows('c', 2, none=1))
  always = articles.Articles(reader(tmp_path, 'a', rows('a', 3)), test, test)
  assert always.read().thresholds == (articles.ALWAYS,)
  some = articles.Articles(
      reader(tmp_path, 'b', rows('a', 3, none=1)), test, test)
  assert some.read().thresholds == (0.0,)


def test_too_few_articles_and_ids_that_come_twice_are_refused(tmp_path):
  few = reader(tmp_path, 'few', rows('a', 3), rows('b', 3))
  with pytest.raises(errors.InputError, match='2 articles cannot be divided '
                     'into train, test and valid, .*source.test.paths'):
    articles.Articles(few).read()
  twice = reader(tmp_path, 'twice', rows('a', 2), rows('a', 1))
  with pytest.raises(errors.InputError, match="twice.jsonl:3: the id 'a0' is "
                     'also that of .*twice.jsonl:1'):
    articles.Articles(twice, few, few).read()
  with pytest.raises(errors.InputError, match='The train split has no ques'):
    articles.Articles(few, few, few).read()
  gone = dataclasses.replace(
      few, on_missing='drop', context='question', answers='context')
  with pytest.raises(errors.InputError, match='The valid split, .*no question'):
    articles.Articles(few, few, gone).read()
