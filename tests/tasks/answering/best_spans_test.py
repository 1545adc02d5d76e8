"""The best spans of windows against trying all of them."""
import numpy as np
import pytest

from lmjax.tasks.answering import best_spans
from lmjax.tasks.answering import windows

SPANS = np.array([[3 * i, 3 * i + 2] for i in range(12)])


def window(column, first, size):
  return windows.Window(None, column, first, size)


@pytest.mark.parametrize('seed', range(5))
def test_spans_are_the_best_of_all(seed):
  rng = np.random.default_rng(seed)
  spans = SPANS.copy()
  spans[5] = spans[5, 0]
  some = [window(4, 0, 8), window(4, 5, 7)]
  logits = [rng.normal(size=(14, 2)).astype(np.float32) for _ in some]
  want = {}
  for each, x_TC in zip(some, logits):
    for s in range(each.size):
      for e in range(s, min(s + 3, each.size)):
        a, b = spans[each.first + s], spans[each.first + e]
        if a[0] < a[1] and b[0] < b[1]:
          score = float(x_TC[4 + s, 0]) + float(x_TC[4 + e, 1])
          want[a[0], b[1]] = max(score, want.get((a[0], b[1]), -np.inf))
  found = best_spans.find(logits, some, spans, longest=3, count=6)
  best = sorted(want.items(), key=lambda item: -item[1])[:6]
  assert [(span.start, span.end) for span in found.spans] == [
      place for place, _ in best]
  assert [span.score for span in found.spans] == pytest.approx(
      [score for _, score in best])
  assert found.null == pytest.approx(min(x_TC[0].sum() for x_TC in logits))
  assert found.difference == pytest.approx(found.null - best[0][1])


def test_a_text_without_tokens_has_no_span():
  found = best_spans.find(
      [np.ones((3, 2))], [window(2, 0, 0)], SPANS[:0], longest=3, count=5)
  assert found == ((), 2.0) and found.difference == np.inf


def test_fewer_spans_than_asked_for_are_all_given():
  found = best_spans.find(
      [np.zeros((4, 2))], [window(1, 0, 2)], SPANS, longest=30, count=99)
  assert [(span.start, span.end) for span in found.spans] == [
      (0, 2), (0, 5), (3, 5)]
