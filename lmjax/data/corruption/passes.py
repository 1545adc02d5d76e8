"""Passes over a text that together hide every token but its first once.

A model that fills in spans is scored by what it was trained for if the spans of
a text are hidden in turn: a few at a time, as many as in training.
"""
from collections.abc import Callable, Iterator
import dataclasses
from typing import Any

import numpy as np

from lmjax.data.corruption import pieces


@dataclasses.dataclass(frozen=True)
class Pass:
  """Some texts, each with some of its tokens as targets.

  Attributes:
    source: What the model reads, for each text.
    target: What it predicts, except for the first id; empty for a text that
      has no part in this pass.
    places: The place of each id of the target in the tokens of all texts. It is
      -1 for ids that this pass does not score: special ids, and tokens that
      another pass scores.
  """
  source: pieces.Texts
  target: pieces.Texts
  places: np.ndarray


@dataclasses.dataclass(frozen=True)
class Spans:
  """Spans of texts that are hidden at the same time, in the order of the texts.

  Attributes:
    owner: Index of each span's text, [S].
    begins: Place of each span in the tokens of all texts, [S].
    lengths: Number of its tokens, [S].
  """
  owner: np.ndarray
  begins: np.ndarray
  lengths: np.ndarray

  @property
  def places(self) -> np.ndarray:
    """The place of each hidden token in the tokens of all texts."""
    return np.repeat(self.begins, self.lengths) + pieces.arange(self.lengths)

  @property
  def ranks(self) -> np.ndarray:
    """The number of each span in its text, from 0, [S]."""
    return np.arange(len(self.owner)) - np.searchsorted(self.owner, self.owner)

  def without(self, texts: pieces.Texts, marks: np.ndarray) -> pieces.Chunks:
    """Returns the texts with each span replaced by the id at its mark, [S].

    Marks are places in a buffer that begins with the tokens of the texts.
    """
    ends = self.begins + self.lengths
    starts = np.where(
        self.ranks == 0, texts.offsets[self.owner], np.roll(ends, 1))
    last = texts.offsets.copy()
    np.maximum.at(last, self.owner, ends)
    index = np.arange(len(texts.lengths))
    return pieces.Chunks.of(
        self.owner, (starts, self.begins - starts), (marks, 1)).join(
            pieces.Chunks.of(
                index, (last, texts.offsets + texts.lengths - last)))


NOTHING = Spans(*np.zeros((3, 0), np.int64))
Cover = Callable[[pieces.Texts, pieces.Draws], Iterator[Pass]]


def divide(texts: pieces.Texts, draws: pieces.Draws, room: np.ndarray,
           noise: np.ndarray, spans: np.ndarray) -> list[Spans]:
  """Divides texts into spans, and the spans over passes.

  The first token of a text is never hidden. The following `room` tokens are
  hidden once each, in as few passes as hide at most `noise` tokens, which take
  as equal shares as possible. The spans of a pass are as long as in training:
  all ways to divide its share are equally likely. Spans of all passes take
  turns along the text, so that two of the same pass are never adjacent.

  Args:
    texts: The texts.
    draws: Random numbers of their rows.
    room: Number of tokens of each text to hide, [P], below its length.
    noise: Most tokens of a text that a pass hides, [P], at least 1.
    spans: Number of spans of a text in a pass, [P], if it hides enough tokens.
  """
  count = -(-room // noise)  # Passes of each text.
  small, larger = np.divmod(room, np.maximum(count, 1))
  spans = np.where(count > 1, np.minimum(spans, small), 1)
  size = int(count.max(initial=0))
  lengths = np.zeros((len(room), int(spans.max(initial=1)), size), np.int64)
  for number in range(size):
    share = np.where(number < count, small + (number < larger), 0)
    parts = np.where(share > 0, spans, 0)
    owner = np.repeat(np.arange(len(parts)), parts)
    lengths[owner, pieces.arange(parts), number] = pieces.composition(
        texts, draws, share, parts)
  flat = lengths.reshape(len(room), lengths.shape[1] * size)
  begins = (1 + np.cumsum(flat, axis=1) - flat).reshape(lengths.shape)
  found = []
  for number in range(size):
    owner, rank = np.nonzero(lengths[:, :, number])
    found.append(Spans(
        owner, texts.offsets[owner] + begins[owner, rank, number],
        lengths[owner, rank, number]))
  return found


@dataclasses.dataclass(frozen=True)
class Frame:
  """The ids around source and target of a model with a `start_id`.

  Attributes:
    start: The id from which the decoder starts; () if it starts from the first
      id of the target, such as a sentinel.
    end: The id that ends source and target, EOS; () without it.
  """
  start: tuple[int, ...] = ()
  end: tuple[int, ...] = ()


def frame(tokenizer: Any) -> Frame:
  """Returns the frame of a tokenizer's sources and targets."""
  start, end = tokenizer.start_id, tokenizer.eos_id
  if start is None:
    return Frame()
  return Frame((start,), () if end is None else (end,))


def behind_sentinels(texts: pieces.Texts, hidden: Spans, sentinels: np.ndarray,
                     around: Frame = Frame()) -> Pass:
  """Returns the pass in which sentinels mark spans, as `spans.hide` does.

  Args:
    texts: The texts.
    hidden: The spans to hide.
    sentinels: Ids of the sentinels, one more than the most spans of a text. The
      target ends with the one after the last span, or with the frame's end.
    around: The ids around sources and targets of texts with a span.
  """
  buffer = np.concatenate(
      [texts.tokens, sentinels, around.start, around.end]).astype(np.int64)
  start = len(texts.tokens) + len(sentinels)
  end = start + len(around.start)
  marks = len(texts.tokens) + hidden.ranks
  counts = np.bincount(hidden.owner, minlength=len(texts.lengths))
  some = np.flatnonzero(counts)
  source = hidden.without(texts, marks).join(
      pieces.Chunks.of(some, (end, len(around.end))))
  last = end if around.end else len(texts.tokens) + counts[some]
  target = pieces.Chunks.of(some, (start, len(around.start))).join(
      pieces.Chunks.of(
          hidden.owner, (marks, 1), (hidden.begins, hidden.lengths)),
      pieces.Chunks.of(some, (last, 1)))
  places = np.arange(len(buffer))
  places[len(texts.tokens):] = -1
  return Pass(source.read(buffer, texts), target.read(buffer, texts),
              target.read(places, texts).tokens)
