"""UL2: a mixture of denoisers, each named by a mode token."""
from collections.abc import Iterator
import dataclasses
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.data.corruption import corrupted
from lmjax.data.corruption import passes
from lmjax.data.corruption import pieces
from lmjax.data.corruption import prefixes
from lmjax.data.corruption import spans


@dataclasses.dataclass(frozen=True)
@ranges.checked
class UL2(corrupted.Corruption):
  """Each row is corrupted by one of several denoisers, drawn by their shares.

  R hides short spans as T5 does, X hides long or many spans, and S hides the
  end. The i-th denoiser is the i-th entry of each field. A source that it
  corrupts begins with its mode token: [R], [S] or [X].

  Attributes:
    modes: Mode of each denoiser: 'R', 'S' or 'X'.
    rates: Share of a row's tokens that each denoiser hides.
    mean_lengths: Average tokens of each denoiser's spans; not used by S.
    shares: Relative frequency of each denoiser.
    documents: Most texts of a row that are corrupted; see `SpanCorruption`.
    joined: Whether source and target form one row, for a decoder alone.

  References:
    Tay et al., UL2: Unifying Language Learning Paradigms, arXiv:2205.05131,
    section 3.1.2 and table 1.
  """
  modes: tuple[str, ...] = ('R', 'R', 'S', 'X', 'X', 'X', 'X')
  rates: tuple[ranges.ProperShare, ...] = (
      0.15, 0.15, 0.25, 0.5, 0.5, 0.15, 0.5)
  mean_lengths: tuple[ranges.NonNegative, ...] = (
      3.0, 8.0, 0.0, 3.0, 8.0, 64.0, 64.0)
  shares: tuple[ranges.NonNegative, ...] = (1.0,) * 7
  documents: ranges.Count = 8
  joined: bool = False

  likelihood = 'span pseudo'  # By `cover`.

  @property
  def framed(self) -> int:
    """See `corrupted.Corruption`."""
    return self.documents

  def __post_init__(self):
    counts = {name: len(getattr(self, name)) for name in (
        'modes', 'rates', 'mean_lengths', 'shares')}
    if len(set(counts.values())) > 1 or not self.modes:
      raise errors.InputError(
          'corruption.modes, rates, mean_lengths and shares should have one '
          f'entry per denoiser; got {counts}.')
    if set(self.modes) - set('RSX'):
      raise errors.InputError(
          f"corruption.modes should be of 'R', 'S', 'X'; got {self.modes}.")
    if not sum(self.shares):
      raise errors.InputError('corruption.shares should not all be 0.')
    self.denoisers()

  def denoisers(self) -> list[spans.SpanCorruption | prefixes.PrefixLM]:
    """Returns the denoisers of the mixture, for an encoder-decoder."""
    return [
        prefixes.PrefixLM(rate) if mode == 'S' else spans.SpanCorruption(
            rate, mean, self.documents)
        for mode, rate, mean in zip(self.modes, self.rates, self.mean_lengths)]

  def sizes(self, length: int) -> pieces.Sizes:
    """See `corrupted.Corruption`."""
    parts = [denoiser.sizes(length) for denoiser in self.denoisers()]
    # In a joined row, a text whose end is hidden has two sentinels more.
    joined = max([part.joined for part in parts] + [
        length + self.documents])
    return pieces.Sizes(
        length + self.documents, max(part.target for part in parts),
        joined + self.documents)

  def corrupt(self, tokenizer: Any, length: int) -> pieces.Corrupt:
    """See `corrupted.Corruption`."""
    ids = self._ids(tokenizer)
    parts = [self._part(denoiser, tokenizer, length)
             for denoiser in self.denoisers()]

    def corrupt(texts, draws):
      done = []
      for number, mine, some in self._shared(texts, draws):
        source, target = parts[number](some, draws)
        done.append((mine, _begun(source, target, ids[number]), target))
      return tuple(
          _gathered(texts, [(mine, pair[side]) for mine, *pair in done])
          for side in range(2))
    return corrupt

  def cover(self, tokenizer: Any, length: int) -> passes.Cover:
    """See `corrupted.Corruption`; one of the denoisers is drawn for a row."""
    ids = self._ids(tokenizer)
    covers = [denoiser.cover(tokenizer, length)
              for denoiser in self.denoisers()]

    def cover(texts, draws):
      for number, mine, some in self._shared(texts, draws):
        back = np.append(np.repeat(
            texts.offsets[mine] - some.offsets, some.lengths)
                         + np.arange(len(some.tokens)), -1)
        for each in covers[number](some, draws):
          yield passes.Pass(
              _begun(each.source, each.target, ids[number]), each.target,
              back[each.places])
    return cover

  def _ids(self, tokenizer: Any) -> np.ndarray:
    """Returns the id of each denoiser's mode token."""
    return np.array([tokenizer.special(f'[{mode}]') for mode in self.modes])

  def _shared(self, texts: pieces.Texts, draws: pieces.Draws
              ) -> Iterator[tuple[int, np.ndarray, pieces.Texts]]:
    """Yields (denoiser, indices of its texts, its texts); one for each row."""
    bounds = np.cumsum(self.shares) / sum(self.shares)
    choice = np.searchsorted(bounds, draws.of_rows(), side='right')
    for number in range(len(self.modes)):
      mine = np.flatnonzero(choice[texts.rows] == number)
      if len(mine):
        yield number, mine, pieces.Chunks.of(
            np.arange(len(mine)), (texts.offsets[mine], texts.lengths[mine])
        ).read(texts.tokens, pieces.Texts(
            texts.tokens, texts.lengths[mine], texts.rows[mine],
            texts.segments[mine]))

  def prompt(self, tokenizer: Any, ids: np.ndarray) -> corrupted.Task:
    """See `corrupted.Corruption`.

    The mode is the prompt's own mode token, if it has one; otherwise R or X if
    the prompt has sentinels, and S, which continues it, if not.
    """
    of_mode = {mode: tokenizer.special(f'[{mode}]') for mode in self.modes}
    names = np.isin(ids, list(of_mode.values()))
    spans_hidden = np.isin(ids, tokenizer.sentinel_ids).any()
    likely = [of_mode[mode] for mode in ('RX' if spans_hidden else 'S')
              if mode in of_mode] + [of_mode[self.modes[0]]]
    mode = [*ids[names], *likely][:1]
    task = corrupted.hidden(tokenizer, ids[~names])
    return dataclasses.replace(task, source=np.concatenate([mode, task.source]))

  def _part(self, denoiser, tokenizer, length):
    """Returns the `corrupt` of one denoiser, limited to `documents` texts."""
    if isinstance(denoiser, spans.SpanCorruption):
      return denoiser.corrupt(tokenizer, length)
    marks = prefixes.marks(tokenizer, self.frame(tokenizer), 'The denoiser S')

    def divide(texts, draws):
      beyond = texts.in_row(texts.lengths > 1) >= self.documents
      places = np.where(
          beyond, texts.lengths, denoiser.places(texts, draws))
      return prefixes.divide(texts, places, *marks)
    return divide


def _begun(source, target, mode):
  """Returns the sources; those with a target begin with the mode token."""
  index = np.arange(len(source.lengths))
  return pieces.Chunks.of(
      index, (len(source.tokens), (target.lengths > 0).astype(np.int64)),
      (source.offsets, source.lengths)).read(
          np.append(source.tokens, mode), source)


def _gathered(texts, parts):
  """Returns parts of the texts, [(indices, texts)], joined in the old order."""
  chunks, base = [], 0
  for mine, part in parts:
    chunks.append(pieces.Chunks.of(mine, (base + part.offsets, part.lengths)))
    base += len(part.tokens)
  tokens = np.concatenate([part.tokens for _, part in parts])
  return chunks[0].join(*chunks[1:]).read(tokens, texts)
