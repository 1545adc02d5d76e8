"""BM25 by its formula."""
import math

import pytest

from lmjax.tasks.baselines import retrieval as retrieval_baselines


def test_scores_follow_the_formula():
  texts = ['red red car', 'blue car', 'a green tree stands here']
  fitted = retrieval_baselines.BM25.fit(texts)
  found = fitted(['Red car red', 'unknown'])
  mean = 10 / 3

  def term(count, size, having):
    return math.log(1 + (3 - having + 0.5) / (having + 0.5)) * (
        count * 2.2 / (count + 1.2 * (0.25 + 0.75 * size / mean)))
  assert found[0].tolist() == pytest.approx(
      [term(2, 3, 1) + term(1, 3, 2), term(1, 2, 2), 0.0])
  assert not found[1].any()
