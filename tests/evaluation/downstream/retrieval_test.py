"""Ranks and their metrics, derived by hand."""
import math

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation.downstream import retrieval

TEXTS = ['a', 'b', 'c', 'd']
SCORES = np.array([[3., 1., 2., 0.], [0., 0., 0., 0.], [1., 5., 4., 2.],
                   [1., 5., 4., 2.]])


def made(queries=('p', 'q', 'r', 'r'), owner=(2, 0, 0, 2), **options):
  return retrieval.Retrieval.of(
      lambda some: SCORES[some], owner, (queries, TEXTS), **options)


def test_ranks_of_each_query():
  found = made()
  assert [ranks.tolist() for ranks in found.ranks] == [[2], [4], [2, 4]]
  assert found.examples == 3 and found.texts == 4


def test_equal_scores_find_nothing():
  found = retrieval.Retrieval.of(
      lambda some: np.zeros((3, 4))[some], (0, 1, 0), (('p', 'q', 'q'), TEXTS))
  assert [ranks.tolist() for ranks in found.ranks] == [[4], [3, 4]]


def test_metrics():
  metrics = made().metrics
  assert metrics['recall@1'].value == 0
  assert metrics['recall@5'].value == 1
  assert metrics['mrr'].value == pytest.approx((1/2 + 1/4 + 1/2) / 3)
  gain = lambda rank: 1 / math.log2(1 + rank)
  assert metrics['ndcg@10'].value == pytest.approx(
      (gain(2) + gain(4) + (gain(2) + gain(4)) / (gain(1) + gain(2))) / 3)
  share = lambda row: row - np.log(np.exp(row).sum())
  assert metrics['loss'].value == pytest.approx(-np.mean([
      share(SCORES[0])[2], share(SCORES[1])[0], share(SCORES[2])[[0, 2]].mean()
  ]))
  assert 'loss' not in made(logits=False).metrics


def test_the_table_shows_the_worst_queries():
  heads, rows = made().tables()['Queries that rank their text lowest']
  assert heads == ['query', 'its text', 'rank', 'found first']
  assert rows[0] == ['q', 'a', '4', 'a']
  assert rows[1] == ['p', 'c', '2', 'a']
  alone = retrieval.Retrieval.of(
      lambda some: SCORES[some], (0,), (('p',), TEXTS))
  assert not alone.tables()


def test_a_picture_is_drawn(tmp_path):
  made().pictures()['Recall'](tmp_path / 'recall.png', 'title')
  assert (tmp_path / 'recall.png').stat().st_size > 1000


def test_no_query_is_refused():
  with pytest.raises(errors.InputError, match='at least one query'):
    retrieval.Retrieval.of(lambda some: SCORES[some], (), ((), TEXTS))
