"""Masking: chooses the tokens that a model must guess and replaces them.

Both happen on the device. Tokens are chosen in units: single tokens, words, or
spans of random lengths. Units are taken in random order until a share `rate` of
the row's tokens is reached; the unit that would exceed it is taken with the
probability that makes the expected share exactly `rate`. The number of chosen
tokens thus hardly varies and has a bound, so that only the logits of that many
are computed.
"""
from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import draws
from lmjax.core import ranges
from lmjax.core import shapes

Batch = Mapping[str, jax.Array]
# begins(key, inputs_T) -> begin_T: whether a unit begins at each token. Units
# of every selection also begin where a document or a control id does.
Begins = Callable[[jax.Array, jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Tokens:
  """Chooses each token by itself.

  References:
    Devlin et al., BERT, arXiv:1810.04805, section 3.1.
  """
  longest = 1
  together = False  # Whether all tokens of a unit are replaced in the same way.

  def build(self, tokenizer: Any) -> Begins:
    del tokenizer
    return lambda key, inputs_T: jnp.ones_like(inputs_T, dtype=bool)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class WholeWords:
  """Chooses all tokens of a word or none.

  Whitespace separates words. In Chinese, Japanese, Thai and other scripts that
  do not separate words, each token that begins with a letter is one.

  Attributes:
    longest: Most tokens of a unit; a longer word is cut into parts.

  References:
    Devlin et al., release of May 2019 (whole word masking); Cui et al.,
    arXiv:1906.08101, who segment Chinese by a dictionary instead.
  """
  longest: ranges.Count = 16

  together = False

  def build(self, tokenizer: Any) -> Begins:
    starts_V = np.asarray(tokenizer.word_starts, bool)
    ends_V = np.asarray(tokenizer.word_ends, bool)

    def begins(key, inputs_T):
      del key
      after_T = jnp.roll(jnp.asarray(ends_V)[inputs_T], 1)
      return jnp.asarray(starts_V)[inputs_T] | after_T
    return begins


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Spans:
  """Chooses spans whose lengths, in tokens, are geometric.

  A row is cut at random into pieces whose lengths are drawn independently, and
  some of the pieces are chosen; chosen pieces may be adjacent.

  Attributes:
    end: Probability that a span ends after any of its tokens.
    longest: Most tokens of a span; the distribution is cut off there and scaled
      to sum to 1.

  References:
    Joshi et al., SpanBERT, arXiv:1907.10529, section 3.1.
  """
  end: ranges.PositiveShare = 0.2
  longest: ranges.Count = 10

  together = True

  def lengths(self) -> np.ndarray:
    """Returns the probabilities of the lengths from 1 to `longest`."""
    p = self.end * (1 - self.end) ** np.arange(self.longest)
    return p / p.sum()

  def build(self, tokenizer: Any) -> Begins:
    del tokenizer
    edges = jnp.asarray(np.cumsum(self.lengths())[:-1], jnp.float32)

    def begins(key, inputs_T):
      count = len(inputs_T)
      length_T = 1 + jnp.searchsorted(edges, jax.random.uniform(key, (count,)))
      ends_T = jnp.cumsum(length_T)
      return jnp.zeros(count, bool).at[ends_T].set(True, mode='drop')
    return begins


Selection = Tokens | WholeWords | Spans


@struct.dataclass
class Masked:
  """A batch whose chosen tokens were replaced.

  Attributes:
    inputs_BT: The ids that the model reads.
    chosen_BT: Whether the model must guess the token.
    possible_BT: Whether the token could have been chosen, as it is neither
      padding nor a control id.
    places_BM: Places of the chosen tokens in the row; M is the largest number
      that can be chosen.
    targets_BM: The original tokens at these places.
    weights_BM: 1 for a chosen token, 0 for the places beyond their number.
  """
  inputs_BT: jax.Array
  chosen_BT: jax.Array
  possible_BT: jax.Array
  places_BM: jax.Array
  targets_BM: jax.Array
  weights_BM: jax.Array


@dataclasses.dataclass(frozen=True)
class Masker:
  """Chooses tokens of a batch and replaces them: `masker(batch, keys_B)`.

  Attributes:
    rate: Share of the possible tokens that is chosen.
    masked: Share of the chosen tokens that is replaced by `mask_id`.
    random: Share of the chosen tokens that is replaced by a token drawn
      uniformly, control ids excluded. The other chosen tokens stay unchanged.
    mask_id: The id of [MASK].
    control_ids: Ids that are never chosen, nor drawn as a replacement.
    vocab_size: Number of ids.
    begins: Function that marks where units begin, from a selection's `build`.
    longest: Most tokens of a unit; longer units are cut.
    together: Whether all tokens of a unit are replaced in the same way.
  """
  rate: float
  masked: float
  random: float
  mask_id: int
  control_ids: tuple[int, ...]
  vocab_size: int
  begins: Begins
  longest: int
  together: bool

  def bound(self, length: int) -> int:
    """Returns M, the most tokens that can be chosen in a row."""
    return min(length, int(self.rate * length) + self.longest)

  def __call__(self, batch: Batch, keys_B: jax.Array) -> Masked:
    """Returns the masked batch; row b is masked with the key `keys_B[b]`."""
    inputs_BT, segments_BT = batch['inputs'], batch['segments']
    d = shapes.bind(inputs_BT=inputs_BT, segments_BT=segments_BT)
    is_text_V = np.ones(self.vocab_size, bool)
    is_text_V[list(self.control_ids)] = False
    possible_BT = (segments_BT > 0) & jnp.asarray(is_text_V)[inputs_BT]
    chosen_BT, new_BT = jax.vmap(self._row)(
        keys_B, inputs_BT, segments_BT, possible_BT)
    places_BM = jnp.argsort(~chosen_BT, axis=1)[:, :self.bound(d.T)]
    at_places = lambda x_BT: jnp.take_along_axis(x_BT, places_BM, axis=1)
    return Masked(
        jnp.where(chosen_BT, new_BT, inputs_BT), chosen_BT, possible_BT,
        places_BM, at_places(inputs_BT),
        at_places(chosen_BT).astype(jnp.float32))

  def _row(self, key, inputs_T, segments_T, possible_T):
    """Returns which tokens are chosen, and the replacement of every token."""
    keys = jax.random.split(key, 6)
    count = len(inputs_T)
    first_T = self._units(keys[0], inputs_T, segments_T, possible_T)
    size_T = jnp.zeros(count).at[first_T].add(1.0)[first_T]
    # Puts units in random order, all possible ones first; the tokens of a unit
    # stay together because sorting is stable.
    order_T = jax.random.uniform(keys[1], (count,))[first_T]
    rank_T = jnp.argsort(jnp.argsort(jnp.where(possible_T, order_T, 2.0)))
    before_T = rank_T - (jnp.arange(count) - first_T)  # In earlier units.
    left_T = self.rate * jnp.sum(possible_T) - before_T
    chosen_T = possible_T & (jax.random.uniform(keys[2]) * size_T < left_T)

    fate_T = jax.random.uniform(keys[3], (count,))
    if self.together:
      fate_T = fate_T[first_T]
    text_ids = np.setdiff1d(np.arange(self.vocab_size), self.control_ids)
    other_T = jnp.asarray(text_ids, inputs_T.dtype)[
        jax.random.randint(keys[4], (count,), 0, len(text_ids))]
    new_T = jnp.where(fate_T < self.masked + self.random, other_T, inputs_T)
    return chosen_T, jnp.where(fate_T < self.masked, self.mask_id, new_T)

  def _units(self, key, inputs_T, segments_T, possible_T):
    """Returns, for each token, the place of the first token of its unit."""
    def changes(x_T):
      return jnp.concatenate([jnp.ones(1, bool), x_T[1:] != x_T[:-1]])
    begin_T = (self.begins(key, inputs_T) | changes(segments_T) | ~possible_T
               | changes(possible_T))
    place_T = jnp.arange(len(inputs_T))
    first_T = jax.lax.cummax(jnp.where(begin_T, place_T, 0))
    return place_T - (place_T - first_T) % self.longest


def row_keys(batch: Batch, rng: jax.Array | None) -> jax.Array:
  """Returns one key per row: from `rng`, or from the row's content if None.

  In the latter case equal rows get equal keys, in any batch and at any place
  of it; padding does not count.
  """
  inputs_BT = batch['inputs']
  if rng is not None:
    return draws.of_rows(
        lambda rows: jax.random.split(rng, rows), inputs_BT.shape[0])
  # Hashes a row by a polynomial in an odd number modulo 2^32.
  with np.errstate(over='ignore'):
    powers_T = np.cumprod(
        np.full(inputs_BT.shape[1], 0x9E3779B1, np.uint32), dtype=np.uint32)
  ids_BT = jnp.where(batch['segments'] > 0, inputs_BT + 1, 0)
  hash_B = jnp.sum(ids_BT.astype(jnp.uint32) * jnp.asarray(powers_T)[None],
                   axis=1, dtype=jnp.uint32)
  return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), hash_B)
