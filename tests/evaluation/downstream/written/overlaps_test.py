"""ROUGE is the library's, METEOR its definition."""
import pytest

from lmjax.evaluation.downstream.written import overlaps

TEXTS = [('The cat sat on the mat.', 'A cat is on the mat, the mat!'),
         ('re: Meeting', 'meeting confirmation 10/30'), ('', 'some words'),
         ('same words here', 'here words same')]


@pytest.mark.parametrize('text, reference', TEXTS)
def test_rouge_equals_the_library(text, reference):
  scorer = pytest.importorskip('rouge_score.rouge_scorer').RougeScorer(
      ['rouge1', 'rouge2', 'rougeL'])
  for name, score in scorer.score(reference, text).items():
    assert overlaps.rouge(text, [reference])[name] == pytest.approx(
        score.fmeasure)


def test_the_library_stems_and_takes_the_best_reference():
  pytest.importorskip('rouge_score')
  assert overlaps.rouge('cats', ['cat'])['rouge1'] == 0
  assert overlaps.rouge_score('cats', ['dog', 'cat'])['rouge1'] == 1
  assert overlaps.rouge('cats', ['dog', 'cats'])['rouge1'] == 1


def test_chinese_is_compared_by_letters():
  assert overlaps.rouge('我爱你', ['我爱他'])['rouge1'] == pytest.approx(2 / 3)
  assert overlaps.rouge('我爱你', ['我爱他'])['rouge2'] == pytest.approx(1 / 2)


def test_meteor_is_its_definition():
  stem = lambda word: word.removesuffix('s')
  # Three words match, one of them by its stem, in two runs.
  found = overlaps.meteor('dogs in a park', ['a dog in parks'], stem)
  precision = recall = 1
  mean = precision * recall / (0.9 * precision + 0.1 * recall)
  assert found == pytest.approx(mean * (1 - 0.5 * (3 / 4)**3))
  assert overlaps.meteor('x', ['y'], stem) == 0
  assert overlaps.meteor('x', ['y', 'x'], stem) == pytest.approx(0.5)


def test_a_word_continues_the_run_before_it():
  same = lambda word: word
  assert overlaps.aligned('the cat'.split(), 'the dog the cat'.split(), same
                          ) == [0, 3]
  assert overlaps.aligned('a the cat'.split(), 'the a the cat'.split(), same
                          ) == [1, 2, 3]


def test_meteor_of_one_alignment_equals_the_library():
  library = pytest.importorskip('nltk.translate.meteor_score')

  class Without:  # No synonyms.
    synsets = staticmethod(lambda word: [])

  text, reference = 'the dogs ran in parks', 'a dog running through the park'
  assert overlaps.meteor(text, [reference]) == pytest.approx(
      library.single_meteor_score(
          reference.split(), text.split(), wordnet=Without))


def test_exact_match_ignores_white_space():
  assert overlaps.exact('a  b ', ['c', 'a b']) == 1
  assert overlaps.exact('A b', ['a b']) == 0


def test_repeats_are_runs_of_the_same_words():
  assert overlaps.repeats('no no no') and overlaps.repeats('我我我')
  assert not overlaps.repeats('no no, yes no')
  assert not overlaps.repeats('')
