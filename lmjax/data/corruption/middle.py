"""Fill-in-the-middle: reorders a text so that its middle comes last."""
from collections.abc import Callable
import dataclasses
from typing import Any

import numpy as np

from lmjax.core import ranges
from lmjax.data.corruption import corrupted
from lmjax.data.corruption import pieces


@dataclasses.dataclass(frozen=True)
@ranges.checked
class FillInTheMiddle(corrupted.Corruption):
  """Cuts a share of the texts at two places and moves the middle to the end.

  With ids [PRE], [SUF] and [MID] a text becomes `[PRE] prefix [SUF] suffix
  [MID] middle`, or `[PRE] [SUF] suffix [MID] prefix middle` (SPM). All tokens
  are predicted, as in any text for a decoder alone. BOS stays first and EOS
  last, where it signals that the middle has reached the suffix; if the row cuts
  off the end of a text, EOS is added.

  Attributes:
    rate: Share of the texts that is reordered.
    spm_rate: Share of these texts that has the suffix first.
    documents: Most texts of a row that are reordered; each adds up to 4 tokens
      to the row.

  References:
    Bavarian et al., Efficient Training of Language Models to Fill in the
    Middle, arXiv:2207.14255, section 3.
  """
  rate: ranges.Share = 0.5
  spm_rate: ranges.Share = 0.5
  documents: ranges.Count = 4

  last = True

  def sizes(self, length: int) -> pieces.Sizes:
    """See `corrupted.Corruption`."""
    return pieces.Sizes(0, 0, length + 4 * self.documents)

  def layout(self) -> Callable[..., dict[str, np.ndarray]]:
    """Returns the function that lays out a batch of plain rows."""
    return pieces.plain

  def corrupt(self, tokenizer: Any, length: int) -> pieces.Corrupt:
    """See `corrupted.Corruption`."""
    del length
    bos, eos = tokenizer.bos_id, tokenizer.eos_id
    ids = [tokenizer.special(name) for name in ('[PRE]', '[SUF]', '[MID]')]
    ids = np.array(ids + [0 if i is None else i for i in (bos, eos)])

    def corrupt(texts, draws):
      begins, _, rest = pieces.stripped(texts, bos, eos)
      chosen = draws.of_texts(texts) < self.rate
      chosen &= rest.lengths > 0
      chosen &= texts.in_row(chosen) < self.documents
      first = draws.of_texts(texts) < self.spm_rate
      cuts = np.stack([draws.of_texts(texts) for _ in range(2)])
      low, high = np.sort(
          (cuts * (rest.lengths + 1)).astype(np.int64), axis=0)
      left = np.flatnonzero(~chosen)
      chunks = pieces.Chunks.of(
          left, (texts.offsets[left], texts.lengths[left])).join(
              self._reordered(texts, chosen, first, low, high, begins,
                              rest.lengths, eos is not None))
      target = chunks.read(np.concatenate([texts.tokens, ids]), texts)
      return texts, target
    return corrupt

  def _reordered(self, texts, chosen, first, low, high, begins, size, ends):
    """Returns the chunks of the chosen texts."""
    i = np.flatnonzero(chosen)
    pre, suf, mid, bos, eos = len(texts.tokens) + np.arange(5)
    start, size = (texts.offsets + begins)[i], size[i]
    low, high, first = low[i], high[i], first[i]
    prefix, middle = (start, low), (start + low, high - low)
    suffix = start + high, size - high
    early = prefix[0], np.where(first, 0, low)  # The prefix in PSM.
    late = prefix[0], np.where(first, low, 0)  # The prefix in SPM.
    return pieces.Chunks.of(
        i, (bos, begins[i]), (pre, 1), early, (suf, 1), suffix, (mid, 1), late,
        middle, (eos, int(ends)))
