"""Scores of a corpus are sacrebleu's; errors are from the bootstrap."""
import sys

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation.downstream.written import corpus_scores

sacrebleu = pytest.importorskip('sacrebleu')
TEXTS = ['the cat sat on a mat today', 'there is one dog in the park', 'yes .']
REFERENCES = [('the cat sat on the mat', 'a cat was on the mat'),
              ('there is a dog in a park',), ('yes',)]
STREAMS = [[some[0] for some in REFERENCES],
           [some[1] if len(some) > 1 else None for some in REFERENCES]]


@pytest.mark.parametrize('name', sorted(corpus_scores.METRICS))
def test_a_corpus_has_the_score_of_sacrebleu(name):
  found = corpus_scores.Corpus.of(name, TEXTS, REFERENCES)
  metric = corpus_scores.made(name)
  assert found.estimate().value == metric.corpus_score(TEXTS, STREAMS).score
  assert found.estimate().stderr > 0
  assert found.signature == str(metric.get_signature().format())
  assert f'version:{sacrebleu.__version__}' in found.signature


def test_each_sentence_has_its_own_score():
  found = corpus_scores.Corpus.of('chrf', TEXTS, REFERENCES).each
  assert found[0] == sacrebleu.sentence_chrf(TEXTS[0], REFERENCES[0]).score
  assert np.argmin(found) == 1


def test_chinese_has_its_own_tokenizer():
  score = lambda tokenize: corpus_scores.Corpus.of(
      'bleu', ['我非常爱北京的天'], [('我非常爱北京的海',)], tokenize
  ).estimate().value
  assert score('zh') > 80 > score('13a')
  with pytest.raises(errors.InputError, match="'chinese'; sacrebleu has"):
    corpus_scores.made('bleu', 'chinese')


def test_a_missing_library_is_named(monkeypatch):
  corpus_scores._library.cache_clear()
  monkeypatch.setitem(sys.modules, 'sacrebleu.metrics', None)
  with pytest.raises(errors.InputError, match=r'lmjax\[seq2seq\]'):
    corpus_scores.made('bleu')
