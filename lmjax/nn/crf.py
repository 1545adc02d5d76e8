"""Linear-chain conditional random fields: sums and maxima over tag sequences.

A sequence of tags y_1 .. y_n of n words has the score

  start[y_1] + sum_i emissions[i, y_i] + sum_i step[y_i-1, y_i] + stop[y_n],

and its probability is the exponential of its score over the sum of those of all
sequences. The words of a row are the columns in which a mask is True. They need
not be adjacent: the chain goes from each to the next one, and a row without a
word has one sequence, the empty one, of score 0. All is computed in float32.

References:
  Lafferty et al., Conditional Random Fields, 2001, section 3. Lample et al.,
  Neural Architectures for Named Entity Recognition, arXiv:1603.01360, section
  2.2. Rabiner, A Tutorial on Hidden Markov Models, 1989 (forward-backward and
  Viterbi).
"""
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import shapes

# The score of what may not be. It is finite, as the difference of two infinite
# scores, which gradients take, is not a number. A thousand of them still fit.
FORBIDDEN = -1e30


class Allowed(NamedTuple):
  """Which tags may begin a sequence, and which may follow each other.

  Attributes:
    start: Whether each of C tags may be the first.
    step: Whether tag j may follow tag i, as step[i][j].
  """
  start: tuple[bool, ...]
  step: tuple[tuple[bool, ...], ...]


class Transitions(NamedTuple):
  """The scores of a chain that do not depend on its words.

  Attributes:
    start_C: The score of each tag as the first.
    step_CC: The score of tag j (column) after tag i (row).
    stop_C: The score of each tag as the last.
  """
  start_C: jax.Array
  step_CC: jax.Array
  stop_C: jax.Array

  def restricted(self, allowed: Allowed | None) -> 'Transitions':
    """Returns scores that forbid what is not allowed; None allows everything.
    """
    if allowed is None:
      return self
    return self._replace(
        start_C=jnp.where(np.array(allowed.start), self.start_C, FORBIDDEN),
        step_CC=jnp.where(np.array(allowed.step), self.step_CC, FORBIDDEN))


def log_partition(emissions_BTC: jax.Array, transitions: Transitions,
                  mask_BT: jax.Array) -> jax.Array:
  """Returns log Z, the log of the summed exponential scores of all sequences.

  Its gradient by the emissions is the marginal probability of each tag.

  Args:
    emissions_BTC: The score of each tag in each column.
    transitions: The other scores.
    mask_BT: Whether a column is a word.

  Returns:
    `log_z_B`; below half of `FORBIDDEN` if no sequence is allowed.
  """
  alpha_BC = _forward(emissions_BTC, transitions, mask_BT)[0]
  log_z_B = jax.nn.logsumexp(alpha_BC + transitions.stop_C[None], axis=1)
  return jnp.where(jnp.any(mask_BT, axis=1), log_z_B, 0.0)


def score(emissions_BTC: jax.Array, transitions: Transitions,
          tags_BT: jax.Array, mask_BT: jax.Array) -> jax.Array:
  """Returns the score of one sequence of tags in each row, `score_B`.

  Args:
    emissions_BTC: The score of each tag in each column.
    transitions: The other scores.
    tags_BT: The tag of each word; other columns are not read.
    mask_BT: Whether a column is a word.
  """
  shapes.bind(emissions_BTC=emissions_BTC, tags_BT=tags_BT, mask_BT=mask_BT)
  start_C, step_CC, stop_C = transitions
  here_BT = jnp.take_along_axis(
      emissions_BTC.astype(jnp.float32), tags_BT[:, :, None], axis=2)[:, :, 0]

  def step(carry, column):
    total_B, before_B = carry
    here_B, tag_B, is_word_B, is_first_B = column
    link_B = jnp.where(is_first_B, start_C[tag_B], step_CC[before_B, tag_B])
    return (jnp.where(is_word_B, total_B + here_B + link_B, total_B),
            jnp.where(is_word_B, tag_B, before_B)), None

  first = jnp.zeros(len(tags_BT)), jnp.zeros_like(tags_BT[:, 0])
  (total_B, last_B), _ = jax.lax.scan(step, first, _columns(
      here_BT, tags_BT, mask_BT, _firsts(mask_BT)))
  return jnp.where(jnp.any(mask_BT, axis=1), total_B + stop_C[last_B], 0.0)


def nll(emissions_BTC: jax.Array, transitions: Transitions,
        tags_BT: jax.Array, known_BT: jax.Array, mask_BT: jax.Array
        ) -> jax.Array:
  """Returns minus the log-probability of the known tags of each row, in nats.

  A word whose tag is unknown has any tag: the probabilities of all sequences
  that have the known tags are summed. A tag that may not follow the known tag
  before it, as the words between have been left out, counts as unknown.

  Args:
    emissions_BTC: The score of each tag in each column.
    transitions: The other scores.
    tags_BT: The tag of each word.
    known_BT: Whether the tag of a word is known.
    mask_BT: Whether a column is a word.

  Returns:
    `nll_B`; 0 for rows without a known tag.

  References:
    Tsuboi et al., Training Conditional Random Fields Using Incomplete
    Annotations, 2008, eq. 3.
  """
  known_BT = _possible(transitions, tags_BT, known_BT, mask_BT)

  def of_some():
    is_tag_BTC = tags_BT[:, :, None] == jnp.arange(
        emissions_BTC.shape[-1])[None, None]
    return log_partition(
        jnp.where(is_tag_BTC | ~known_BT[:, :, None],
                  emissions_BTC.astype(jnp.float32), FORBIDDEN),
        transitions, mask_BT)

  # Where all tags are known there is one sequence, which is far cheaper.
  score_B = jax.lax.cond(
      jnp.any(mask_BT & ~known_BT), of_some,
      lambda: score(emissions_BTC, transitions, tags_BT, mask_BT))
  return log_partition(emissions_BTC, transitions, mask_BT) - score_B


def log_marginals(emissions_BTC: jax.Array, transitions: Transitions,
                  mask_BT: jax.Array) -> jax.Array:
  """Returns the log-probability of each tag for each word, `log_p_BTC`.

  Args:
    emissions_BTC: The score of each tag in each column.
    transitions: The other scores.
    mask_BT: Whether a column is a word; other columns are 0 in the result.
  """
  emissions_BTC = emissions_BTC.astype(jnp.float32)
  _, alpha_TBC = _forward(emissions_BTC, transitions, mask_BT)

  def step(beta_BC, column):
    here_BC, is_word_B = column
    before_BC = jax.nn.logsumexp(
        transitions.step_CC[None] + (here_BC + beta_BC)[:, None], axis=2)
    return jnp.where(is_word_B[:, None], before_BC, beta_BC), beta_BC

  last_BC = jnp.broadcast_to(
      transitions.stop_C[None], emissions_BTC[:, 0].shape)
  _, beta_TBC = jax.lax.scan(
      step, last_BC, _columns(emissions_BTC, mask_BT), reverse=True)
  both_BTC = jnp.swapaxes(alpha_TBC + beta_TBC, 0, 1)
  log_p_BTC = both_BTC - jax.nn.logsumexp(both_BTC, axis=2, keepdims=True)
  log_p_BTC = jnp.where(log_p_BTC < FORBIDDEN / 2, -jnp.inf, log_p_BTC)
  return jnp.where(mask_BT[:, :, None], log_p_BTC, 0.0)


def k_best(emissions_BTC: jax.Array, transitions: Transitions,
           mask_BT: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
  """Returns the W = k sequences of the highest scores, the best one first.

  Args:
    emissions_BTC: The score of each tag in each column.
    transitions: The other scores.
    mask_BT: Whether a column is a word.
    k: The number of sequences.

  Returns:
    `tags_BWT`, where columns that are no word repeat the tag of the next one,
    and `scores_BW`, which are -inf where a row has fewer allowed sequences.
  """
  size = emissions_BTC.shape[-1]
  start_C, step_CC, stop_C = transitions
  is_best_W = jnp.arange(k) == 0
  stay = jnp.arange(size * k).reshape(1, size, k)  # Tag i, rank w is i k + w.

  def step(best_BCW, column):
    here_BC, is_word_B, is_first_B = column
    paths_BCWC = best_BCW[..., None] + step_CC[None, :, None]
    found_BCW, back_BCW = jax.lax.top_k(
        jnp.moveaxis(paths_BCWC, 3, 1).reshape(-1, size, size * k), k)
    begun_CW = jnp.where(is_best_W[None], start_C[:, None], FORBIDDEN)
    found_BCW = here_BC[:, :, None] + jnp.where(
        is_first_B[:, None, None], begun_CW[None], found_BCW)
    is_word_B = is_word_B[:, None, None]
    return (jnp.where(is_word_B, found_BCW, best_BCW),
            jnp.where(is_word_B, back_BCW, stay))

  none_BCW = jnp.zeros((len(mask_BT), size, k))
  best_BCW, back_TBCW = jax.lax.scan(step, none_BCW, _columns(
      emissions_BTC.astype(jnp.float32), mask_BT, _firsts(mask_BT)))
  scores_BW, last_BW = jax.lax.top_k(
      (best_BCW + stop_C[None, :, None]).reshape(-1, size * k), k)

  def walk(place_BW, back_BCW):
    before_BW = jnp.take_along_axis(
        back_BCW.reshape(-1, size * k), place_BW, axis=1)
    return before_BW, place_BW // k

  _, tags_TBW = jax.lax.scan(walk, last_BW, back_TBCW, reverse=True)
  scores_BW = jnp.where(
      jnp.any(mask_BT, axis=1)[:, None], scores_BW,
      jnp.where(is_best_W, 0.0, FORBIDDEN)[None])
  return (jnp.moveaxis(tags_TBW, 0, 2),
          jnp.where(scores_BW < FORBIDDEN / 2, -jnp.inf, scores_BW))


def viterbi(emissions_BTC: jax.Array, transitions: Transitions,
            mask_BT: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns the best sequence of each row and its score; see `k_best`.

  Example:
    >>> zero = jnp.zeros(2)
    >>> apart = Transitions(zero, jnp.array([[-9., 0.], [0., -9.]]), zero)
    >>> words = jnp.array([[[5., 0.], [1., 0.], [3., 0.]]])
    >>> viterbi(words, apart, jnp.ones((1, 3), bool))[0].tolist()
    [[0, 1, 0]]
  """
  tags_BWT, scores_BW = k_best(emissions_BTC, transitions, mask_BT, 1)
  return tags_BWT[:, 0], scores_BW[:, 0]


def _forward(emissions_BTC, transitions, mask_BT):
  """Returns the sums over all beginnings: after the last word, and after each.
  """
  start_C, step_CC, stop_C = transitions
  shapes.bind(emissions_BTC=emissions_BTC, mask_BT=mask_BT, start_C=start_C,
              step_CC=step_CC, stop_C=stop_C)

  @jax.checkpoint  # Of a column, only [B, C] is kept for the gradient.
  def step(alpha_BC, column):
    here_BC, is_word_B, is_first_B = column
    into_BC = jax.nn.logsumexp(alpha_BC[:, :, None] + step_CC[None], axis=1)
    into_BC = jnp.where(is_first_B[:, None], start_C[None], into_BC)
    alpha_BC = jnp.where(is_word_B[:, None], into_BC + here_BC, alpha_BC)
    return alpha_BC, alpha_BC

  emissions_BTC = emissions_BTC.astype(jnp.float32)
  return jax.lax.scan(
      step, jnp.zeros_like(emissions_BTC[:, 0]),
      _columns(emissions_BTC, mask_BT, _firsts(mask_BT)))


def _possible(transitions, tags_BT, known_BT, mask_BT):
  """Returns `known_BT` without tags that may not follow the known one before.
  """
  may_start_C = transitions.start_C > FORBIDDEN / 2
  may_step_CC = transitions.step_CC > FORBIDDEN / 2

  def step(carry, column):
    before_B, was_known_B = carry
    tag_B, is_known_B, is_word_B, is_first_B = column
    may_B = jnp.where(is_first_B, may_start_C[tag_B],
                      ~was_known_B | may_step_CC[before_B, tag_B])
    is_known_B &= may_B
    return (jnp.where(is_word_B, tag_B, before_B),
            jnp.where(is_word_B, is_known_B, was_known_B)), is_known_B

  first = jnp.zeros_like(tags_BT[:, 0]), jnp.zeros(len(tags_BT), bool)
  return jax.lax.scan(step, first, _columns(
      tags_BT, known_BT, mask_BT, _firsts(mask_BT)))[1].swapaxes(0, 1)


def _firsts(mask_BT):
  """Returns whether a column is the first word of its row."""
  return mask_BT & (jnp.cumsum(mask_BT, axis=1) == 1)


def _columns(*arrays):
  """Returns arrays [B, T, ...] as a tuple of arrays [T, B, ...], to scan."""
  return tuple(jnp.swapaxes(x, 0, 1) for x in arrays)
