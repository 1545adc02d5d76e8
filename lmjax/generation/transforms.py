"""Changes to next-token logits before a token is drawn.

A transform is any hashable `f(logits_BV, counts_BV) -> logits_BV`, where
`counts_BV` is the number of times each token occurred in the prompt and since.
It sets the logits of excluded tokens to -inf. Transforms compose left to right.
The transforms below never sort the vocabulary:

  transforms = (RepetitionPenalty(1.2), Temperature(0.8), TopK(50), TopP(0.95))
"""
from collections.abc import Callable
import dataclasses
import math

import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.nn import temperature as temperature_lib

Transform = Callable[[jax.Array, jax.Array], jax.Array]


def best(logits_BV: jax.Array) -> jax.Array:
  """Returns the most probable token of each row; among ties, the lowest id.

  Makes two passes that XLA vectorises on a CPU, unlike its `argmax`.
  """
  d = shapes.bind(logits_BV=logits_BV)
  largest_B1 = jnp.max(logits_BV, axis=-1, keepdims=True)
  ids_BV = jnp.where(logits_BV == largest_B1, jnp.arange(d.V)[None], d.V - 1)
  return jnp.min(ids_BV, axis=-1)


@dataclasses.dataclass(frozen=True)
class Known:
  """Keeps the ids below `count`, those that the tokenizer has.

  A model may have more ids than its tokenizer, as when its vocabulary is padded
  to a multiple of 128. Place this transform first, so that the others do not
  count those ids.
  """
  count: int

  def __call__(self, logits_BV: jax.Array, counts_BV: jax.Array) -> jax.Array:
    d = shapes.bind(logits_BV=logits_BV, counts_BV=counts_BV)
    if self.count >= d.V:
      return logits_BV
    return jnp.where(jnp.arange(d.V)[None] < self.count, logits_BV, -jnp.inf)


@dataclasses.dataclass(frozen=True)
class Without:
  """Excludes some ids."""
  ids: tuple[int, ...]

  def __call__(self, logits_BV: jax.Array, counts_BV: jax.Array) -> jax.Array:
    shapes.bind(logits_BV=logits_BV, counts_BV=counts_BV)
    return logits_BV.at[:, jnp.array(self.ids, int)].set(-jnp.inf)


@dataclasses.dataclass(frozen=True)
class Temperature:
  """Divides logits: below 1 sharpens the distribution, above 1 flattens it.

  The largest logit is subtracted first; see `temperature.scaled`.
  """
  value: float = 1.0

  def __post_init__(self):
    _check('temperature', self.value, self.value > 0,
           'above 0; 0 is greedy, which is the transform Greedy')

  def __call__(self, logits_BV: jax.Array, counts_BV: jax.Array) -> jax.Array:
    shapes.bind(logits_BV=logits_BV, counts_BV=counts_BV)
    return temperature_lib.scaled(logits_BV, self.value)


@dataclasses.dataclass(frozen=True)
class Greedy:
  """Keeps only the most probable token; among ties, the lowest id."""

  def __call__(self, logits_BV: jax.Array, counts_BV: jax.Array) -> jax.Array:
    d = shapes.bind(logits_BV=logits_BV, counts_BV=counts_BV)
    best_B1 = best(logits_BV)[:, None]
    return jnp.where(jnp.arange(d.V)[None] == best_B1, logits_BV, -jnp.inf)


@dataclasses.dataclass(frozen=True)
class TopK:
  """Keeps the k most probable tokens, and tokens that tie with the k-th.

  References:
    Fan et al., Hierarchical Neural Story Generation, arXiv:1805.04833, sec. 5.
  """
  k: int

  def __post_init__(self):
    _check('top_k', self.k, self.k >= 1, 'at least 1')

  def __call__(self, logits_BV: jax.Array, counts_BV: jax.Array) -> jax.Array:
    d = shapes.bind(logits_BV=logits_BV, counts_BV=counts_BV)
    if self.k >= d.V:
      return logits_BV
    least_B1 = jax.lax.top_k(logits_BV, self.k)[0][:, -1:]
    return jnp.where(logits_BV >= least_B1, logits_BV, -jnp.inf)


@dataclasses.dataclass(frozen=True)
class TopP:
  """Keeps the smallest set of most probable tokens with probability >= `p`.

  Tokens that tie with the least probable of them are kept too. Also called
  nucleus sampling.

  References:
    Holtzman et al., The Curious Case of Neural Text Degeneration,
    arXiv:1904.09751, eqs. 2-3.
  """
  p: float

  def __post_init__(self):
    _check('top_p', self.p, 0 < self.p <= 1, 'above 0 and at most 1')

  def __call__(self, logits_BV: jax.Array, counts_BV: jax.Array) -> jax.Array:
    shapes.bind(logits_BV=logits_BV, counts_BV=counts_BV)
    if self.p == 1:  # Rounded sums could drop the least probable tokens.
      return logits_BV
    return of_mass(logits_BV, self.p)


@dataclasses.dataclass(frozen=True)
class TypicalP:
  """Keeps tokens with surprisal closest to the entropy, of probability `p`.

  References:
    Meister et al., Locally Typical Sampling, arXiv:2202.00666, eq. 10.
  """
  p: float

  def __post_init__(self):
    _check('typical_p', self.p, 0 < self.p <= 1, 'above 0 and at most 1')

  def __call__(self, logits_BV: jax.Array, counts_BV: jax.Array) -> jax.Array:
    shapes.bind(logits_BV=logits_BV, counts_BV=counts_BV)
    if self.p == 1:
      return logits_BV
    return of_typical_mass(logits_BV, self.p)


@dataclasses.dataclass(frozen=True)
class MinP:
  """Keeps the tokens at least `p` times as probable as the best one.

  References:
    Nguyen et al., Turning Up the Heat: Min-p Sampling, arXiv:2407.01082.
  """
  p: float

  def __post_init__(self):
    _check('min_p', self.p, 0 < self.p <= 1, 'above 0 and at most 1')

  def __call__(self, logits_BV: jax.Array, counts_BV: jax.Array) -> jax.Array:
    shapes.bind(logits_BV=logits_BV, counts_BV=counts_BV)
    return near_the_best(logits_BV, self.p)


@dataclasses.dataclass(frozen=True)
class RepetitionPenalty:
  """Lowers the logits of tokens that occurred, the prompt included.

  A logit x > 0 becomes x / penalty, another one x * penalty. A penalty of 1
  changes nothing.

  References:
    Keskar et al., CTRL, arXiv:1909.05858, section 4.1; the rule for negative
    logits is from the released code.
  """
  penalty: float

  def __post_init__(self):
    _check('repetition_penalty', self.penalty, self.penalty > 0, 'above 0')

  def __call__(self, logits_BV: jax.Array, counts_BV: jax.Array) -> jax.Array:
    shapes.bind(logits_BV=logits_BV, counts_BV=counts_BV)
    return penalized(logits_BV, counts_BV, self.penalty)


@dataclasses.dataclass(frozen=True)
class CountPenalty:
  """Lowers the logits of tokens that occurred: x - presence - frequency * n.

  n is the number of times the token occurred, the prompt included; a token that
  did not occur keeps its logit. Negative values encourage repetition.

  Attributes:
    presence: Subtracted once from the logit of each token that occurred.
    frequency: Subtracted for each time that the token occurred.
  """
  presence: float = 0.0
  frequency: float = 0.0

  def __post_init__(self):
    for name in ('presence', 'frequency'):
      value = getattr(self, name)
      _check(f'{name}_penalty', value, math.isfinite(value), 'a finite number')

  def __call__(self, logits_BV: jax.Array, counts_BV: jax.Array) -> jax.Array:
    shapes.bind(logits_BV=logits_BV, counts_BV=counts_BV)
    return counted(logits_BV, counts_BV, self.presence, self.frequency)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Sampling:
  """How the tokens of a row are drawn.

  `sampling.Rows` holds these numbers for each row of a batch; `build` returns
  transforms that do the same to all rows.

  Attributes:
    temperature: Divisor of the logits, where 0 takes the most probable token.
    top_k: Keeps this many most probable tokens; None keeps all; see `TopK`.
    top_p: Keeps the most probable tokens of this probability; see `TopP`.
    typical_p: Keeps typical tokens of this probability; see `TypicalP`.
    min_p: Keeps tokens at least this fraction as probable as the best one.
    repetition_penalty: Above 1 discourages tokens that occurred.
    presence_penalty: Above 0 discourages tokens that occurred; see
      `CountPenalty`.
    frequency_penalty: Above 0 discourages tokens for each time they occurred.
  """
  temperature: ranges.NonNegative = 1.0
  top_k: ranges.Count | None = None
  top_p: ranges.PositiveShare | None = None
  typical_p: ranges.PositiveShare | None = None
  min_p: ranges.PositiveShare | None = None
  repetition_penalty: ranges.Positive = 1.0
  presence_penalty: ranges.Finite = 0.0
  frequency_penalty: ranges.Finite = 0.0

  def __post_init__(self):
    self.build()

  def build(self) -> tuple[Transform, ...]:
    """Returns the transforms in their customary order.

    Penalties come first, then the temperature, then the cuts, each on the
    tokens that the one before kept.
    """
    chain = []
    if self.repetition_penalty != 1:
      chain.append(RepetitionPenalty(self.repetition_penalty))
    if self.presence_penalty or self.frequency_penalty:
      chain.append(CountPenalty(self.presence_penalty, self.frequency_penalty))
    if self.temperature == 0:
      return (*chain, Greedy())
    if self.temperature != 1:
      chain.append(Temperature(self.temperature))
    for value, transform in ((self.top_k, TopK), (self.top_p, TopP),
                             (self.typical_p, TypicalP), (self.min_p, MinP)):
      if value is not None:
        chain.append(transform(value))
    return tuple(chain)


def _check(name: str, value: float, right: bool, wanted: str) -> None:
  if not right:  # Also for NaN, which compares as False.
    raise errors.InputError(f'{name} should be {wanted}; got {value}.')


# The arithmetic. A parameter is one number, or an array `_B1` with one per row.


def penalized(logits_BV: jax.Array, counts_BV: jax.Array,
              penalty: float | jax.Array) -> jax.Array:
  """Returns logits that are lower for tokens that occurred."""
  penalty = _bounded(penalty)
  lowered_BV = jnp.where(
      logits_BV > 0, logits_BV / penalty, logits_BV * penalty)
  return jnp.where(counts_BV > 0, _kept(logits_BV, lowered_BV), logits_BV)


def counted(logits_BV: jax.Array, counts_BV: jax.Array,
            presence: float | jax.Array, frequency: float | jax.Array
            ) -> jax.Array:
  """Returns logits minus `presence` and, for each occurrence, `frequency`."""
  lowered_BV = _bounded(logits_BV - _bounded(presence) * (counts_BV > 0))
  lowered_BV -= _bounded(_bounded(frequency) * counts_BV)
  return _kept(logits_BV, lowered_BV)


def _kept(logits_BV: jax.Array, changed_BV: jax.Array) -> jax.Array:
  """Returns changed logits, finite except where a token was excluded before.

  Otherwise several logits that overflow would look like several best tokens,
  whose difference is NaN.
  """
  return jnp.where(
      jnp.isneginf(logits_BV), -jnp.inf, _bounded(changed_BV))


def _bounded(x: float | jax.Array) -> jax.Array:
  """Returns `x` within the finite range of float32."""
  most = jnp.finfo(jnp.float32).max
  return jnp.clip(jnp.asarray(x, jnp.float32), -most, most)


def of_rank(logits_BV: jax.Array, k: int | jax.Array) -> jax.Array:
  """Returns the logits with -inf for all below the k-th largest.

  Finds the k-th largest by bisection over the bits of floats, which as integers
  are ordered like the floats once the bits of negative floats are inverted.
  """
  logits_BV = jnp.asarray(logits_BV, jnp.float32)
  bits_BV = jax.lax.bitcast_convert_type(logits_BV, jnp.int32)
  rank_BV = jnp.where(bits_BV < 0, bits_BV ^ 0x7FFFFFFF, bits_BV)

  def halve(_, bounds):
    low_B1, high_B1 = bounds  # Above low lie k or more, above high fewer.
    middle_B1 = (low_B1 >> 1) + (high_B1 >> 1) + (low_B1 & high_B1 & 1)
    above_B1 = jnp.sum(rank_BV > middle_B1, axis=-1, keepdims=True)
    fits_B1 = above_B1 < k
    return (jnp.where(fits_B1, low_B1, middle_B1),
            jnp.where(fits_B1, middle_B1, high_B1))

  bounds = (jnp.min(rank_BV, axis=-1, keepdims=True) - 1,
            jnp.max(rank_BV, axis=-1, keepdims=True))
  _, least_B1 = jax.lax.fori_loop(0, 32, halve, bounds)
  least_B1 = jax.lax.bitcast_convert_type(
      jnp.where(least_B1 < 0, least_B1 ^ 0x7FFFFFFF, least_B1), jnp.float32)
  return jnp.where(logits_BV >= least_B1, logits_BV, -jnp.inf)


def of_mass(logits_BV: jax.Array, p: float | jax.Array) -> jax.Array:
  """Returns the largest logits, of probability `p`, and -inf for the rest."""
  # Probabilities up to a factor.
  weights_BV = jnp.exp(temperature_lib.scaled(logits_BV, 1.0))
  return jnp.where(_leading(weights_BV, weights_BV, p), logits_BV, -jnp.inf)


def of_typical_mass(logits_BV: jax.Array, p: float | jax.Array) -> jax.Array:
  """Returns the typical logits, of probability `p`, and -inf for the rest."""
  logprobs_BV = jax.nn.log_softmax(jnp.asarray(logits_BV, jnp.float32))
  probs_BV = jnp.exp(logprobs_BV)
  entropy_B1 = -jnp.sum(jnp.where(probs_BV > 0, probs_BV * logprobs_BV, 0.0),
                        axis=-1, keepdims=True)
  closeness_BV = jnp.exp(-jnp.abs(logprobs_BV + entropy_B1))
  return jnp.where(_leading(probs_BV, closeness_BV, p), logits_BV, -jnp.inf)


def near_the_best(logits_BV: jax.Array, p: float | jax.Array) -> jax.Array:
  """Returns the logits with -inf below `p` times the best's probability."""
  least = jnp.log(jnp.asarray(p, jnp.float32))
  return jnp.where(
      temperature_lib.scaled(logits_BV, 1.0) >= least, logits_BV, -jnp.inf)


def _leading(weights_BV: jax.Array, rank_BV: jax.Array,
             share: float | jax.Array) -> jax.Array:
  """Returns True for the fewest tokens of highest rank that hold a share.

  A token is kept if the tokens ranked strictly above it weigh less than the
  share, so tied tokens are kept or dropped together. As that weight falls with
  the rank, bisection finds the lowest rank that is kept. Non-negative floats
  are ordered like their bits, so 31 halvings are exact; each is one pass over
  V, and all of them cost a small part of a sort.

  Args:
    weights_BV: Probabilities, up to a factor per row.
    rank_BV: Non-negative numbers that order the tokens.
    share: Share of the sum of weights, in (0, 1].
  """
  wanted_B = (share * jnp.sum(weights_BV, axis=-1, keepdims=True))[:, 0]

  def halve(_, bounds):
    low_B, high_B = bounds  # Above low lies the share or more, above high less.
    middle_B = low_B + (high_B - low_B) // 2
    rank_B1 = jax.lax.bitcast_convert_type(middle_B, jnp.float32)[:, None]
    above_B = jnp.sum(jnp.where(rank_BV > rank_B1, weights_BV, 0.0), axis=-1)
    fits_B = above_B < wanted_B
    return (jnp.where(fits_B, low_B, middle_B),
            jnp.where(fits_B, middle_B, high_B))

  high_B = jax.lax.bitcast_convert_type(jnp.max(rank_BV, axis=-1), jnp.int32)
  low_B = jnp.full_like(high_B, -1)
  _, bits_B = jax.lax.fori_loop(0, 31, halve, (low_B, high_B))
  least_B1 = jax.lax.bitcast_convert_type(bits_B, jnp.float32)[:, None]
  return rank_BV >= least_B1
