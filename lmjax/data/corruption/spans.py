"""Span corruption: hides spans of a text behind sentinels (T5)."""
import dataclasses
from typing import Annotated, Any

import numpy as np

from lmjax.core import ranges
from lmjax.data.corruption import corrupted
from lmjax.data.corruption import passes
from lmjax.data.corruption import pieces


@dataclasses.dataclass(frozen=True)
@ranges.checked
class SpanCorruption(corrupted.Corruption):
  """Replaces random spans by one sentinel each; the target is their text.

  The source `Thank you <X> to your party <Y>` has the target `<X> for inviting
  me <Y> last week <Z>`, where `<X>`, `<Y>`, `<Z>` are the tokenizer's sentinels
  in order. The share `rate` of each row is noise, to the nearest token, which
  determines the number of spans; all ways to divide the noise, and the other
  tokens, into that many parts are equally likely. As in the paper's code, a
  text begins with tokens that are kept and ends with noise. The decoder starts
  from `<X>`, which it does not predict. If the tokenizer has a `start_id`, as
  that of a published T5, the decoder starts from it and predicts `<X>`, and EOS
  ends the source, and the target in place of `<Z>`.

  Attributes:
    rate: Share of the tokens that is noise.
    mean_length: Average tokens of a span.
    documents: Most texts of a row that are corrupted; further texts (of packed
      rows of very short documents) are read, but not predicted.
    joined: Whether source and target form one row, for a decoder alone.

  References:
    Raffel et al., T5, arXiv:1910.10683, sections 3.1.4 and 3.3.4, figure 2.
  """
  rate: ranges.ProperShare = 0.15
  mean_length: Annotated[float, ranges.Range(1)] = 3.0
  documents: ranges.Count = 8
  joined: bool = False

  likelihood = 'span pseudo'  # By `cover`.

  @property
  def framed(self) -> int:
    """See `corrupted.Corruption`."""
    return self.documents

  def sizes(self, length: int) -> pieces.Sizes:
    """See `corrupted.Corruption`."""
    noise = int(_nearest(self.rate * length))
    # Each document may round its number of spans up, by less than one.
    spans = min(noise, int(noise / self.mean_length) + self.documents)
    return pieces.Sizes(
        length, max(noise + spans, 1), length + 2 * spans)

  def corrupt(self, tokenizer: Any, length: int) -> pieces.Corrupt:
    """See `corrupted.Corruption`."""
    ids, around = self._sentinels(tokenizer, length), self.frame(tokenizer)

    def corrupt(texts, draws):
      noise, spans = self.counts(texts)
      return hide(texts, draws, noise, spans, ids, around)
    return corrupt

  def cover(self, tokenizer: Any, length: int) -> passes.Cover:
    """See `corrupted.Corruption`."""
    ids, around = self._sentinels(tokenizer, length), self.frame(tokenizer)

    def cover(texts, draws):
      noise, spans = self.counts(texts)
      for hidden in passes.divide(
          texts, draws, texts.lengths - 1, np.maximum(noise, 1),
          np.maximum(spans, 1)):
        yield passes.behind_sentinels(texts, hidden, ids, around)
    return cover

  def prompt(self, tokenizer: Any, ids: np.ndarray) -> corrupted.Task:
    """See `corrupted.Corruption`; the prompt's sentinels mark hidden spans."""
    return corrupted.hidden(tokenizer, ids)

  def _sentinels(self, tokenizer: Any, length: int) -> np.ndarray:
    """Returns the sentinels that rows of `length` tokens may need."""
    most = _nearest(self.rate * length) + 1  # A document's share may round up.
    needed = int(max(_nearest(most / self.mean_length), 1)) + 1
    return corrupted.sentinels(
        tokenizer, needed, f'Hiding {self.rate:g} of {length} tokens in spans '
        f'of {self.mean_length:g}')

  def counts(self, texts: pieces.Texts) -> tuple[np.ndarray, np.ndarray]:
    """Returns each text's number of noise tokens and number of spans, [P]."""
    before = texts.in_row(texts.lengths)
    noise = (_nearest(self.rate * (before + texts.lengths))
             - _nearest(self.rate * before))
    noise = np.minimum(noise, texts.lengths - 1)
    noise[texts.in_row(noise > 0) >= self.documents] = 0
    spans = np.maximum(_nearest(noise / self.mean_length), 1)
    return noise, np.minimum(spans, np.minimum(noise, texts.lengths - noise))


def hide(texts: pieces.Texts, draws: pieces.Draws, noise: np.ndarray,
         spans: np.ndarray, sentinels: np.ndarray,
         around: passes.Frame = passes.Frame()
         ) -> tuple[pieces.Texts, pieces.Texts]:
  """Hides random spans of each text behind sentinels.

  Args:
    texts: The texts.
    draws: Random numbers of their rows.
    noise: Number of tokens to hide in each text, [P], below its length.
    spans: Number of spans in each text, [P]; 0 hides nothing, and the target is
      empty.
    sentinels: Ids of the sentinels, one more than the most spans of a text.
    around: The ids around sources and targets.

  Returns:
    Source and target.
  """
  hidden = pieces.composition(texts, draws, noise, spans)
  shown = pieces.composition(
      texts, draws, np.where(spans > 0, texts.lengths - noise, 0), spans)
  owner = np.repeat(np.arange(len(spans)), spans)
  both = hidden + shown
  within = np.cumsum(both) - both  # Place in the texts that have spans.
  missing = np.cumsum(np.where(spans > 0, 0, texts.lengths))[owner]
  found = passes.behind_sentinels(texts, passes.Spans(
      owner, within + missing + shown, hidden), sentinels, around)
  return found.source, found.target


def _nearest(x) -> np.ndarray:
  return np.floor(np.asarray(x) + 0.5).astype(np.int64)
