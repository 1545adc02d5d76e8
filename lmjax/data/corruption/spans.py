"""Span corruption: stretches of text are hidden behind sentinels (T5)."""
import dataclasses
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.data.corruption import corrupted
from lmjax.data.corruption import pieces


@dataclasses.dataclass(frozen=True)
class SpanCorruption(corrupted.Corruption):
  """Random spans leave a sentinel each, and the target is what they held.

  `Thank you <X> to your party <Y>` asks for `<X> for inviting me <Y> last
  week <Z>`, where `<X>`, `<Y>`, `<Z>` are the tokenizer's sentinels in order.
  Of each row the share `rate` is noise, to the nearest token, and the number of
  spans follows from it; where they lie is uniform among all ways to divide
  the noise, and what remains, into so many parts. As in the paper's code a text
  begins with what remains and ends with noise. The decoder starts from `<X>`
  instead of being asked to predict it.

  Attributes:
    rate: Share of the tokens that is noise.
    mean_length: Tokens of a span, on average.
    documents: So many texts of a row are corrupted; any further ones (packed
      rows of very short documents have them) are read, but not predicted.
    joined: Whether source and target make one row, for a decoder alone.

  References:
    Raffel et al., T5, arXiv:1910.10683, sections 3.1.4 and 3.3.4, figure 2.
  """
  rate: float = 0.15
  mean_length: float = 3.0
  documents: int = 8
  joined: bool = False

  def __post_init__(self):
    corrupted.check_rate('rate', self.rate, least=True)
    corrupted.check_documents(self.documents)
    if self.mean_length < 1:
      raise errors.InputError(
          'corruption.mean_length should be at least 1 token; got '
          f'{self.mean_length}.')

  def sizes(self, length: int) -> pieces.Sizes:
    """See `corrupted.Corruption`."""
    noise = int(_nearest(self.rate * length))
    # Each document rounds its number of spans, by less than one upwards.
    spans = min(noise, int(noise / self.mean_length) + self.documents)
    return pieces.Sizes(
        length, max(noise + spans, 1), length + 2 * spans)

  def corrupt(self, tokenizer: Any, length: int) -> pieces.Corrupt:
    """See `corrupted.Corruption`."""
    most = _nearest(self.rate * length) + 1  # A document's share may round up.
    needed = int(max(_nearest(most / self.mean_length), 1)) + 1
    ids = corrupted.sentinels(
        tokenizer, needed, f'Hiding {self.rate:g} of {length} tokens in spans '
        f'of {self.mean_length:g}')

    def corrupt(texts, draws):
      noise, spans = self.counts(texts)
      return hide(texts, draws, noise, spans, ids)
    return corrupt

  def prompt(self, tokenizer: Any, ids: np.ndarray) -> corrupted.Task:
    """See `corrupted.Corruption`; spans are hidden where sentinels stand."""
    return corrupted.hidden(tokenizer, ids)

  def counts(self, texts: pieces.Texts) -> tuple[np.ndarray, np.ndarray]:
    """Returns how much of each text is noise, and in how many spans, [P]."""
    before = texts.in_row(texts.lengths)
    noise = (_nearest(self.rate * (before + texts.lengths))
             - _nearest(self.rate * before))
    noise = np.minimum(noise, texts.lengths - 1)
    noise[texts.in_row(noise > 0) >= self.documents] = 0
    spans = np.maximum(_nearest(noise / self.mean_length), 1)
    return noise, np.minimum(spans, np.minimum(noise, texts.lengths - noise))


def hide(texts: pieces.Texts, draws: pieces.Draws, noise: np.ndarray,
         spans: np.ndarray, sentinels: np.ndarray
         ) -> tuple[pieces.Texts, pieces.Texts]:
  """Hides random spans of each text behind sentinels.

  Args:
    texts: The texts.
    draws: Random numbers of their rows.
    noise: Tokens to hide in each, [P], fewer than it has.
    spans: In how many spans, [P]; 0 leaves a text whole, its target empty.
    sentinels: Ids, one more than the most spans of a text.

  Returns:
    Source and target.
  """
  hidden = composition(texts, draws, noise, spans)
  shown = composition(
      texts, draws, np.where(spans > 0, texts.lengths - noise, 0), spans)
  owner, rank = np.repeat(np.arange(len(spans)), spans), pieces.arange(spans)
  both = hidden + shown
  within = np.cumsum(both) - both  # Among the texts that have spans.
  missing = np.cumsum(np.where(spans > 0, 0, texts.lengths))[owner]
  begin = within + missing

  buffer = np.concatenate([texts.tokens, sentinels])
  mark = len(texts.tokens) + rank
  whole, some = np.flatnonzero(spans == 0), np.flatnonzero(spans)
  source = pieces.Chunks.of(owner, (begin, shown), (mark, 1)).join(
      pieces.Chunks.of(whole, (texts.offsets[whole], texts.lengths[whole])))
  target = pieces.Chunks.of(owner, (mark, 1), (begin + shown, hidden)).join(
      pieces.Chunks.of(some, (len(texts.tokens) + spans[some], 1)))
  return source.read(buffer, texts), target.read(buffer, texts)


def composition(texts: pieces.Texts, draws: pieces.Draws, totals: np.ndarray,
                parts: np.ndarray) -> np.ndarray:
  """Returns lengths, each at least 1, that add up to the totals.

  All ways to write a total as a sum of so many parts are equally likely.

  Args:
    texts: The texts, [P].
    draws: Random numbers of their rows.
    totals: What the parts of each text add up to, [P].
    parts: How many there are, [P], at most the total.
  """
  group, within = np.repeat(np.arange(len(totals)), totals), pieces.arange(
      totals)
  u = draws.each(texts, totals)
  # The first unit begins a part; so do those of the smallest numbers.
  order = np.argsort(np.where(within == 0, group, group + 0.25 + u / 2))
  rank = np.empty_like(within)
  rank[order] = within
  starts = np.flatnonzero(rank < parts[group])
  return np.diff(starts, append=len(group))


def _nearest(x) -> np.ndarray:
  return np.floor(np.asarray(x) + 0.5).astype(np.int64)
