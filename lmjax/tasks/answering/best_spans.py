"""Finds the best answers in the logits of the windows of a text."""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lmjax.tasks.answering import windows as windows_lib


class Span(NamedTuple):
  """A part of a text with its score.

  Attributes:
    score: The sum of the logits of its first and last token.
    start: Its first character.
    end: The first character after it.
  """
  score: float
  start: int
  end: int


class Found(NamedTuple):
  """The best spans of a text, and the score of no answer.

  Attributes:
    spans: The best spans, the best first; empty if the text has no token.
    null: The lowest score of no answer of all windows, since each window
      without the answer should prefer none.
  """
  spans: tuple[Span, ...]
  null: float

  @property
  def difference(self) -> float:
    """How much higher the score of no answer is than that of the best span."""
    return self.null - self.spans[0].score if self.spans else np.inf


def find(logits: Sequence[np.ndarray], windows: Sequence[windows_lib.Window],
         spans_N2: np.ndarray, *, longest: int, count: int) -> Found:
  """Returns the best spans of all windows of a text.

  A span begins and ends with tokens of the text that have characters. The same
  characters in two windows are one span, with the higher score.

  Args:
    logits: `logits_TC` of each window; see `models.heads.span`.
    windows: The windows.
    spans_N2: The characters that each token of the text is from.
    longest: Most tokens of a span.
    count: Number of spans.
  """
  found = {}
  for logits_TC, window in zip(logits, windows):
    tokens = slice(window.first, window.first + window.size)
    columns = slice(window.column, window.column + window.size)
    for score, first, last in _best(
        np.asarray(logits_TC[columns], np.float64), spans_N2[tokens],
        longest, count):
      place = int(spans_N2[window.first + first, 0]), int(
          spans_N2[window.first + last, 1])
      found[place] = max(score, found.get(place, score))
  spans = [Span(score, *place) for place, score in found.items()]
  null = min(float(np.sum(logits_TC[0], dtype=np.float64))
             for logits_TC in logits)
  spans.sort(key=lambda span: (-span.score, span.start, span.end))
  return Found(tuple(spans[:count]), null)


def _best(logits_NC, spans_N2, longest, count):
  """Yields (score, first token, last token) of the best spans of a window."""
  size = len(spans_N2)
  if not size:
    return
  allowed = spans_N2[:, 1] > spans_N2[:, 0]
  starts_N, ends_N = np.where(allowed[:, None], logits_NC, -np.inf).T
  longest = min(longest, size)
  padded = np.append(ends_N, np.full(longest - 1, -np.inf))
  # scores_NL[first, more] is of the span with `more` tokens after the first.
  scores_NL = starts_N[:, None] + np.lib.stride_tricks.sliding_window_view(
      padded, longest)
  flat = scores_NL.ravel()
  count = min(count, len(flat))
  for place in np.argpartition(-flat, count - 1)[:count]:
    first, more = divmod(int(place), longest)
    if np.isfinite(flat[place]):
      yield float(flat[place]), first, first + more
