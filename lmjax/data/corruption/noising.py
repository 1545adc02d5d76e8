"""BART's noise: damages a text in several ways; the target is all of it."""
import dataclasses
import math
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.data.corruption import corrupted
from lmjax.data.corruption import passes
from lmjax.data.corruption import pieces

_STOPS = (b'.', b'!', b'?', b'\n')


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Bart(corrupted.Corruption):
  """The source is a damaged text, the target the original text.

  First sentences are permuted, then tokens masked and deleted, then spans
  replaced by one [MASK] each, then the text is rotated; the defaults are the
  values of the paper's large model. BOS at the start and EOS at the end of a
  text stay there. The decoder starts from the text's BOS; if the text does not
  begin with BOS, BOS is put before it, or EOS if the tokenizer has no BOS. If
  the tokenizer has a `start_id`, as that of a published BART, the decoder
  starts from it.

  Attributes:
    rate: Share of the tokens in infilled spans, to the nearest token.
    mean_length: Mean of the spans' Poisson lengths; a span of length 0 inserts
      a [MASK] and hides nothing.
    permute: Whether sentences are permuted. A sentence ends with an id whose
      text ends in a full stop, '!', '?' or a line break.
    mask_rate: Probability that a token becomes [MASK].
    delete_rate: Probability that a token is deleted.
    rotate_rate: Probability that a text begins at a random token.
    joined: Whether source and target form one row, for a decoder alone.

  References:
    Lewis et al., BART, arXiv:1910.13461, sections 2.2 and 5.1, figure 2.
  """
  rate: ranges.Share = 0.3
  mean_length: ranges.Positive = 3.0
  permute: bool = True
  mask_rate: ranges.Share = 0.0
  delete_rate: ranges.Share = 0.0
  rotate_rate: ranges.Share = 0.0
  joined: bool = False

  def sizes(self, length: int) -> pieces.Sizes:
    """See `corrupted.Corruption`."""
    return pieces.Sizes(length, length, 2 * length)

  def corrupt(self, tokenizer: Any, length: int) -> pieces.Corrupt:
    """See `corrupted.Corruption`."""
    del length
    mask, start = tokenizer.special('[MASK]'), self._start(tokenizer)
    bos, eos = tokenizer.bos_id, tokenizer.eos_id
    stops = sentence_ends(tokenizer) if self.permute else None

    def corrupt(texts, draws):
      begins, ends, rest = pieces.stripped(texts, bos, eos)
      for change in self._changes(mask, stops):
        rest = change(rest, draws)
      index = np.arange(len(begins))
      source = pieces.Chunks.of(
          index, (texts.offsets, begins.astype(np.int64)),
          (len(texts.tokens) + rest.offsets, rest.lengths),
          (texts.offsets + texts.lengths - 1, ends.astype(np.int64)))
      buffer = np.concatenate([texts.tokens, rest.tokens, [start]])
      begun = texts.tokens[texts.offsets] == start
      target = pieces.Chunks.of(
          index, (len(buffer) - 1, (~begun).astype(np.int64)),
          (texts.offsets, texts.lengths))
      return source.read(buffer, texts), target.read(buffer, texts)
    return corrupt

  @property
  def likelihood(self) -> str | None:
    """See `corrupted.Corruption`; None if nothing is replaced by [MASK]."""
    return 'span pseudo' if self.rate or self.mask_rate else None

  def cover(self, tokenizer: Any, length: int) -> passes.Cover:
    """See `corrupted.Corruption`; of the noise, only [MASK] is used.

    The target is always the whole text; a pass scores the tokens that it hides,
    and the first pass also EOS, which is never hidden.
    """
    del length
    mask, start = tokenizer.special('[MASK]'), self._start(tokenizer)
    rate, mean_length = (
        (self.rate, self.mean_length) if self.rate else (self.mask_rate, 1.0))

    def cover(texts, draws):
      ends = texts.tokens[texts.offsets + texts.lengths - 1] == (
          -1 if tokenizer.eos_id is None else tokenizer.eos_id)
      room = texts.lengths - 1 - (ends & (texts.lengths > 1))
      noise, spans = (np.maximum(np.floor(x + 0.5), 1).astype(np.int64)
                      for x in (rate * room, rate * room / mean_length))
      buffer = np.concatenate([texts.tokens, [mask, start]])
      begun = texts.tokens[texts.offsets] == start
      target = pieces.Chunks.of(
          np.arange(len(begun)),
          (len(buffer) - 1, (~begun).astype(np.int64)),
          (texts.offsets, texts.lengths))
      of_ends = (texts.offsets + texts.lengths - 1)[room < texts.lengths - 1]
      for number, hidden in enumerate(
          passes.divide(texts, draws, room, noise, spans) or [passes.NOTHING]):
        scored = hidden.places if number else np.append(hidden.places, of_ends)
        places = np.full(len(buffer), -1)
        places[scored] = scored
        yield passes.Pass(
            hidden.without(texts, np.full_like(
                hidden.begins, len(texts.tokens))).read(buffer, texts),
            target.read(buffer, texts), target.read(places, texts).tokens)
    return cover

  def prompt(self, tokenizer: Any, ids: np.ndarray) -> corrupted.Task:
    """See `corrupted.Corruption`.

    The model writes the whole text; a prompt without [MASK] gets one at its
    end, so that it is continued.
    """
    mask = tokenizer.special('[MASK]')
    after = [] if mask in ids else [mask]
    if tokenizer.eos_id is not None:
      after.append(tokenizer.eos_id)
    return corrupted.Task(np.concatenate([ids, after]).astype(ids.dtype),
                          np.array([self._start(tokenizer)]))

  def _start(self, tokenizer: Any) -> int:
    """Returns the id that a decoder starts from."""
    around = self.frame(tokenizer)
    for id in (*around.start, tokenizer.bos_id, tokenizer.eos_id):
      if id is not None:
        return id
    raise errors.InputError(
        'BART needs an id for the decoder to start from, and the tokenizer has '
        'neither BOS nor EOS; set --config.data.tokenizer.bos=True.')

  def _changes(self, mask, stops):
    if self.permute:
      yield lambda texts, draws: permuted(texts, draws, stops)
    if self.mask_rate:
      yield lambda texts, draws: masked(texts, draws, self.mask_rate, mask)
    if self.delete_rate:
      yield lambda texts, draws: deleted(texts, draws, self.delete_rate)
    if self.rate:
      yield lambda texts, draws: infilled(
          texts, draws, self.rate, self.mean_length, mask)
    if self.rotate_rate:
      yield lambda texts, draws: rotated(texts, draws, self.rotate_rate)


def sentence_ends(tokenizer: Any) -> np.ndarray:
  """Returns whether each id ends a sentence, [V]."""
  return np.array([tokenizer.token_bytes(i).rstrip(b' ').endswith(_STOPS)
                   for i in range(tokenizer.vocab_size)])


def permuted(texts: pieces.Texts, draws: pieces.Draws, stops: np.ndarray
             ) -> pieces.Texts:
  """Returns the texts with their sentences in a random order."""
  owner = np.repeat(np.arange(len(texts.lengths)), texts.lengths)
  begins = pieces.arange(texts.lengths) == 0
  begins[1:] |= stops[texts.tokens[:-1]]
  starts = np.flatnonzero(begins)
  text = owner[starts]
  counts = np.bincount(text, minlength=len(texts.lengths))
  order = np.argsort(text + 0.5 * draws.each(texts, counts))
  lengths = np.diff(starts, append=len(owner))
  return pieces.Chunks(
      starts[order], lengths[order], text[order]).read(texts.tokens, texts)


def masked(texts: pieces.Texts, draws: pieces.Draws, rate: float, mask: int
           ) -> pieces.Texts:
  """Returns the texts with each token replaced by `mask` at a rate."""
  hit = draws.each(texts) < rate
  return dataclasses.replace(texts, tokens=np.where(hit, mask, texts.tokens))


def deleted(texts: pieces.Texts, draws: pieces.Draws, rate: float
            ) -> pieces.Texts:
  """Returns the texts with each token deleted at a rate."""
  keep = draws.each(texts) >= rate
  owner = np.repeat(np.arange(len(texts.lengths)), texts.lengths)
  return dataclasses.replace(
      texts, tokens=texts.tokens[keep],
      lengths=np.bincount(owner[keep], minlength=len(texts.lengths)))


def infilled(texts: pieces.Texts, draws: pieces.Draws, rate: float,
             mean_length: float, mask: int) -> pieces.Texts:
  """Returns the texts with spans replaced by one `mask` each.

  Spans have Poisson lengths and are drawn until they reach the share `rate`;
  the last one is cut to it. Their places are uniform.
  """
  noise = np.floor(rate * texts.lengths + 0.5).astype(np.int64)
  index = np.arange(len(noise))
  # There are at most as many spans as hidden tokens, so that the source is
  # never longer than the text.
  owner = np.repeat(index, noise)
  lengths = poisson(draws.each(texts, noise), mean_length)
  before = np.cumsum(lengths) - lengths
  first = np.cumsum(noise) - noise
  before -= before[np.minimum(first, len(before) - 1)][owner] if len(
      before) else 0
  left = noise[owner] - before
  is_last = pieces.arange(noise) == noise[owner] - 1
  lengths = np.where(is_last, left, np.minimum(lengths, left))
  used = left > 0
  owner, lengths = owner[used], lengths[used]

  counts = np.bincount(owner, minlength=len(noise))
  room = (texts.lengths - noise)[owner] + 1  # Gaps around the kept tokens.
  gap = np.floor(draws.each(texts, counts) * room).astype(np.int64)
  order = np.lexsort((gap, owner))
  gap = gap[order]  # Owners keep their places; lengths are in random order.
  shown = gap - np.where(pieces.arange(counts) == 0, 0, np.roll(gap, 1))
  both = shown + lengths
  starts = np.cumsum(both) - both
  total = np.bincount(owner, both, len(noise)).astype(np.int64)
  starts += (texts.offsets - (np.cumsum(total) - total))[owner]
  chunks = pieces.Chunks.of(
      owner, (starts, shown), (len(texts.tokens), 1)).join(
          pieces.Chunks.of(
              index, (texts.offsets + total, texts.lengths - total)))
  return chunks.read(np.append(texts.tokens, mask), texts)


def poisson(u: np.ndarray, mean: float) -> np.ndarray:
  """Returns Poisson numbers of a mean, from uniform numbers `u`."""
  k = np.arange(int(mean + 12 * math.sqrt(mean)) + 20)
  logs = k * math.log(mean) - mean - np.array(
      [math.lgamma(i + 1) for i in k])
  return np.searchsorted(np.cumsum(np.exp(logs)), u, side='right')


def rotated(texts: pieces.Texts, draws: pieces.Draws, rate: float
            ) -> pieces.Texts:
  """Returns the texts, a share of them rotated to begin at a random token."""
  hit = draws.of_texts(texts) < rate
  place = np.floor(draws.of_texts(texts) * texts.lengths).astype(np.int64)
  place = np.where(hit, place, 0)
  return pieces.Chunks.of(
      np.arange(len(place)), (texts.offsets + place, texts.lengths - place),
      (texts.offsets, place)).read(texts.tokens, texts)
