"""Baselines of question answering."""
import math

from lmjax.tasks.answering import passages
from lmjax.tasks.baselines import spans as span_baselines
import pytest

TEXT = 'Rome fell in 476. Paris grew in 1900! The 中文 end'


def asked(question, text=TEXT):
  return passages.Question(question, text, (), '')


def test_words_have_their_characters():
  found = list(span_baselines.words(TEXT, 38))
  assert [word.text for word in found] == ['the', '中', '文', 'end']
  assert [TEXT[word.start:word.end] for word in found] == [
      'The', '中', '文', 'end']


def test_no_answer_is_always_preferred():
  assert span_baselines.NoAnswer.fit([])(asked('Who?')) == ('', math.inf)


@pytest.mark.parametrize('question, answer', [
    ('When did Paris grow in size?', 'grew'), ('Who fell in 476?', 'Rome'),
    ('What is 中 ?', '文')])
def test_the_answer_is_beside_the_words_of_the_question(question, answer):
  other = 'grow size when did who what is the end 1900'
  fitted = span_baselines.Overlap.fit([asked('?'), asked('?', other)])
  text, null = fitted(asked(question))
  assert answer in text and text in TEXT and 0 <= null <= 1


def test_no_answer_is_preferred_by_the_share_that_is_lacking():
  fitted = span_baselines.Overlap.fit([asked('?'), asked('?', 'zebra')])
  assert fitted.weights['rome'] == pytest.approx(math.log(3))
  assert fitted(asked('Rome fell'))[1] == pytest.approx(0)
  assert fitted(asked('Rome zebra'))[1] == pytest.approx(0.5)
  assert fitted(asked('x', '...')) == ('', math.inf)  # No word to answer with.
  assert fitted(asked('one', 'one')) == ('', math.inf)
