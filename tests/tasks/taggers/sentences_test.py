"""Sentences: their content, and how a text becomes a sentence."""
import pytest

from lmjax.core import errors
from lmjax.tasks.taggers import sentences


def test_a_sentence_is_its_words_and_tags():
  one = sentences.Sentence(('New York', '!'), ('B-loc', 'O'), 'f:1')
  assert one.texts == ('New York !',)
  assert one.content == (('New York', '!'), ('B-loc', 'O'))


@pytest.mark.parametrize('text, words', [
    (' Jo  sings\t! ', ('Jo', 'sings', '!')), ('""', ('""',)),
    ('["New York", "!"]', ('New York', '!')),
    ('[1] "a"', ('[1]', '"a"')), ('["a", 1]', ('["a",', '1]')),
    ('12', ('12',)), ('["a", " "]', ('["a",', '"', '"]'))])
def test_words_are_separated_by_whitespace_or_a_json_list(text, words):
  assert sentences.sentence([text], 'f:1') == (words, None, 'f:1')


def test_a_label_is_a_tag_for_each_word():
  found = sentences.sentence(['a b c'], 'f:1', 'B-x E-x O')
  assert found.tags == ('B-x', 'E-x', 'O')


def test_another_number_of_tags_is_refused():
  with pytest.raises(errors.InputError, match='f:1: 2 words, but 1 tags'):
    sentences.sentence(['a b'], 'f:1', 'O')


@pytest.mark.parametrize('texts, message', [
    (['a', 'b'], 'f:1: tagging reads single texts; got 2'),
    ([' '], 'f:1: there is no word'), (['[]'], 'f:1: there is no word')])
def test_pairs_and_blank_texts_are_refused(texts, message):
  with pytest.raises(errors.InputError, match=message):
    sentences.sentence(texts, 'f:1')
