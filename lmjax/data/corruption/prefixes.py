"""Divides a text into a prefix to read and a continuation to predict."""
from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy as np

from lmjax.core import ranges
from lmjax.data.corruption import corrupted
from lmjax.data.corruption import passes
from lmjax.data.corruption import pieces


@dataclasses.dataclass(frozen=True)
@ranges.checked
class PrefixLM(corrupted.Corruption):
  """Divides each text at a random place; the second part is the target.

  For an encoder-decoder, the encoder reads the prefix and the first sentinel,
  from which the decoder starts; or the prefix and EOS, if the tokenizer has a
  `start_id` for the decoder. For a decoder alone, the row is not changed;
  `prefix` marks the tokens that see each other, and the tokens after the
  division have weights. The first token after it is read and not predicted.

  Attributes:
    rate: Share of a text that is predicted; None draws the place uniformly.
    joined: Whether source and target form one row, for a decoder alone.

  References:
    Raffel et al., T5, arXiv:1910.10683, section 3.2.1, figure 4 (right).
  """
  rate: ranges.ProperShare | None = None
  joined: bool = False

  @property
  def last(self) -> bool:
    """Whether rows keep their last target: only rows for a decoder do."""
    return self.joined

  def sizes(self, length: int) -> pieces.Sizes:
    """See `corrupted.Corruption`."""
    return pieces.Sizes(length, length, length)

  def corrupt(self, tokenizer: Any, length: int) -> pieces.Corrupt:
    """See `corrupted.Corruption`."""
    del length
    around = ((), ()) if self.joined else marks(
        tokenizer, self.frame(tokenizer), 'Continuing a prefix')

    def corrupt(texts, draws):
      return divide(texts, self.places(texts, draws), *around)
    return corrupt

  def cover(self, tokenizer: Any, length: int) -> passes.Cover:
    """See `corrupted.Corruption`; each pass continues what precedes the last.

    The first pass predicts the share `rate` at the end of a text, the next one
    the same share of the text before it, and so on.
    """
    del length
    around = marks(tokenizer, self.frame(tokenizer), 'Continuing a prefix')

    def cover(texts, draws):
      index, ends = np.arange(len(texts.lengths)), texts.lengths
      while (ends > 1).any():
        ends = np.where(ends > 1, ends, 0)
        some = pieces.Chunks.of(index, (texts.offsets, ends)).read(
            texts.tokens, texts)
        ends = self.places(some, draws)
        source, target = divide(some, ends, *around)
        within = pieces.arange(target.lengths)
        yield passes.Pass(source, target, np.where(
            within > 0, np.repeat(texts.offsets + ends, target.lengths)
            + within - 1, -1))
    return cover

  def prompt(self, tokenizer: Any, ids: np.ndarray) -> corrupted.Task:
    """See `corrupted.Corruption`; the start is a joined prompt's last id."""
    if self.joined:
      return corrupted.Task(ids[:-1], ids[-1:])
    return dataclasses.replace(corrupted.hidden(tokenizer, ids), end=None)

  def places(self, texts: pieces.Texts, draws: pieces.Draws) -> np.ndarray:
    """Returns the number of tokens in each text's prefix, [P]."""
    # At least one token is read and one predicted. In a joined row the first
    # token of the target is read, so the prefix may be empty.
    low = 0 if self.joined else 1
    high = texts.lengths - (1 if self.joined else 0)
    if self.rate is None:
      u = draws.of_texts(texts)
      places = low + (u * np.maximum(high - low, 1)).astype(np.int64)
    else:
      target = np.maximum(
          np.floor(self.rate * texts.lengths + 0.5).astype(np.int64), 1)
      places = np.clip(texts.lengths - target - self.joined, low, None)
    return np.minimum(places, texts.lengths)


def marks(tokenizer: Any, around: passes.Frame, what: str
          ) -> tuple[Sequence[int], Sequence[int]]:
  """Returns the ids that end a source and that begin its target.

  They are those of the frame, or else the first sentinel on both sides.

  Raises:
    InputError: If the tokenizer has no sentinel either; `what` needs it.
  """
  if around.start:
    return around.end, around.start
  sentinel = corrupted.sentinels(tokenizer, 1, what)
  return sentinel, sentinel


def divide(texts: pieces.Texts, places: np.ndarray, end: Sequence[int] = (),
           start: Sequence[int] = ()) -> tuple[pieces.Texts, pieces.Texts]:
  """Divides each text into source and target.

  Args:
    texts: The texts.
    places: Number of tokens of each text's source, [P]; the whole length leaves
      the target empty.
    end: The id that ends a source that has a target; () leaves it out.
    start: The id that begins a target; () leaves it out.
  """
  index = np.arange(len(places))
  marked = (places < texts.lengths).astype(np.int64)
  buffer = np.concatenate([texts.tokens, end, start]).astype(np.int64)
  place = len(texts.tokens)
  source = pieces.Chunks.of(
      index, (texts.offsets, places), (place, marked * len(end)))
  target = pieces.Chunks.of(
      index, (place + len(end), marked * len(start)),
      (texts.offsets + places, texts.lengths - places))
  return source.read(buffer, texts), target.read(buffer, texts)
