"""A hidden Markov model of text: Baum-Welch, prediction and Viterbi.

Each token is emitted by one of C hidden states, which form a Markov chain. Axes
are B, T, V and C, the states.
"""
from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import functools
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.models.counted import archive

_KIND = 'hidden Markov model'
_TINY = 1e-37
_ROWS = 64  # Rows of text in one batch of the E step.


class Parameters(NamedTuple):
  """Probabilities; each row sums to one.

  Attributes:
    first_C: Probability of the state that emits a document's BOS.
    resumed_C: Probability of the state that emits the first token of any other
      stretch; EM does not change it if no document is longer than a stretch.
    transition_CC: Probability of the next state (column), given the state
      (row).
    emission_CV: Probability of the token, given the state.
  """
  first_C: jax.Array
  resumed_C: jax.Array
  transition_CC: jax.Array
  emission_CV: jax.Array


@dataclasses.dataclass(frozen=True)
@ranges.checked
class HmmConfig:
  """A hidden Markov model, fitted with expectation maximisation (EM).

  Attributes:
    num_states: Number of hidden states C.
    steps: Number of EM steps; each step reads the whole text.
    seed: Seed of the initial probabilities.
    length: Tokens in a stretch of text; longer documents are cut into
      stretches.
    floor: Fraction of each emission distribution that is spread evenly over the
      vocabulary after EM, so that unseen tokens are possible.

  References:
    Rabiner, A Tutorial on Hidden Markov Models, Proc. IEEE 77(2), 1989,
    section III.
  """
  num_states: ranges.Count = 32
  steps: ranges.Count = 20
  seed: ranges.Seed = 0
  length: ranges.Count = 256
  floor: ranges.Rate = 1e-4

  @property
  def title(self) -> str:
    """The name of the model in a report."""
    return f'HMM of {self.num_states} states'

  def load(self, path: str | pathlib.Path) -> 'Hmm':
    """Returns a saved model; see the function `load`."""
    return load(path)

  def fit(self, documents: Iterable[Sequence[int]], vocab_size: int,
          bos_id: int | None) -> 'Hmm':
    """Returns the model after `steps` steps of EM on documents.

    Args:
      documents: Token ids of each document, with BOS and EOS.
      vocab_size: Size of the vocabulary.
      bos_id: The id that begins every document, or None.
    """
    batches = list(_stretches(documents, self.length, vocab_size, bos_id))
    params = initial(self.num_states, vocab_size, self.seed)
    history = []
    for _ in range(self.steps):
      params, log_likelihood = em_step(params, batches)
      history.append(log_likelihood)
    emission_CV = ((1 - self.floor) * params.emission_CV
                   + self.floor / vocab_size)
    return Hmm(params._replace(emission_CV=emission_CV), bos_id,
               tuple(history))


@dataclasses.dataclass(frozen=True, eq=False)
class Hmm:
  """A hidden Markov language model; see `HmmConfig`.

  A call takes a batch of `inputs`, `targets`, `positions` and `segments`, each
  [B, T]. It returns the loss of each target in nats, given the inputs up to it
  in its row and segment, and whether the target was the most probable token.

  Attributes:
    params: The probabilities.
    bos_id: The id that begins documents, or None.
    history: The log-likelihood of the training text, in nats, before each step
      of EM.
  """
  params: Parameters
  bos_id: int | None
  history: tuple[float, ...] = ()

  @property
  def name(self) -> str:
    return f'HMM of {len(self.params.first_C)} states'

  def __call__(self, batch: Mapping[str, np.ndarray]):
    return _scores(self.params, -1 if self.bos_id is None else self.bos_id, {
        name: jnp.asarray(batch[name])
        for name in ('inputs', 'targets', 'positions', 'segments')})

  def log_likelihood(self, tokens: Sequence[int]) -> float:
    """Returns the log probability of all tokens of a text, in nats."""
    tokens_BT, begins_B = self._row(tokens)
    _, log_likelihood = _expect(
        self.params, tokens_BT, jnp.ones(tokens_BT.shape, bool), begins_B)
    return float(log_likelihood)

  def viterbi(self, tokens: Sequence[int]) -> tuple[np.ndarray, float]:
    """Returns the most probable states of a text, [T], and a log probability.

    This is the joint log probability of the states and the tokens, in nats.
    """
    tokens_BT, begins_B = self._row(tokens)
    states, log_p = _viterbi(self.params, tokens_BT[0], begins_B[0])
    return np.asarray(states), float(log_p)

  @functools.cached_property
  def digest(self) -> str:
    """SHA-256 of all values that define the model."""
    return archive.digest(*self._content())

  def save(self, path: str | pathlib.Path) -> None:
    """Writes the model to one .npz file; `load` reads it."""
    archive.save(path, _KIND, *self._content())

  def _content(self):
    return ({'bos_id': self.bos_id, 'history': list(self.history)},
            {name: np.asarray(x) for name, x in self.params._asdict().items()})

  def _row(self, tokens):
    tokens = np.asarray(tokens)
    _check(tokens, self.params.emission_CV.shape[1])
    return jnp.asarray(tokens)[None], jnp.asarray(tokens[:1] == self.bos_id)


def load(path: str | pathlib.Path) -> Hmm:
  """Returns the model that `Hmm.save` wrote.

  Raises:
    InputError: If the file does not exist or is damaged.
  """
  facts, arrays = archive.load(path, _KIND)
  try:
    params = Parameters(**{
        name: jnp.asarray(x) for name, x in arrays.items()})
    bos_id, history = facts['bos_id'], tuple(facts['history'])
    states, size = params.emission_CV.shape
    is_sound = (
        [x.shape for x in params] == [
            (states,), (states,), (states, states), (states, size)]
        and all(x.dtype.kind == 'f' and bool(jnp.all(x >= 0)) for x in params)
        and (bos_id is None or type(bos_id) is int and 0 <= bos_id < size))
  except (KeyError, TypeError, ValueError):
    is_sound = False
  if not is_sound:
    raise errors.InputError(
        f'The tables of {str(path)!r} do not form a hidden Markov model; fit '
        'it and save it again.')
  return Hmm(params, bos_id, history)


def initial(num_states: int, vocab_size: int, seed: int) -> Parameters:
  """Returns random probabilities, each row near the uniform distribution."""
  rng = np.random.default_rng(seed)

  def rows(*shape):
    raw = rng.uniform(0.5, 1.5, shape)
    return jnp.asarray(raw / raw.sum(axis=-1, keepdims=True), jnp.float32)
  return Parameters(rows(num_states), rows(num_states),
                    rows(num_states, num_states), rows(num_states, vocab_size))


def em_step(params: Parameters, batches: Iterable[tuple[np.ndarray, ...]]
            ) -> tuple[Parameters, float]:
  """One step of Baum-Welch, which never lowers the likelihood of the text.

  Args:
    params: The probabilities so far.
    batches: Tuples of tokens_BT, whether each token is text [B, T], and whether
      each row begins a document [B].

  Returns:
    The new probabilities, and the log-likelihood in nats under the old ones.
  """
  totals, log_likelihood = None, 0.0
  for batch in batches:
    expected, found = _expect(params, *batch)
    expected = [np.asarray(x, np.float64) for x in expected]
    totals = expected if totals is None else [
        a + b for a, b in zip(totals, expected)]
    log_likelihood += float(found)
  out = []
  for total, old in zip(totals, params):
    mass = total.sum(axis=-1, keepdims=True)
    new = np.where(mass > 0, total / np.maximum(mass, _TINY), old)
    out.append(jnp.asarray(new, jnp.float32))
  return Parameters(*out), log_likelihood


@jax.jit
def _expect(params, tokens_BT, is_text_BT, begins_B):
  """Returns expected counts as `Parameters`, and the log-likelihood.

  Beliefs are scaled to sum to one at each position; see Rabiner, section V.A.
  """
  shapes.bind(tokens_BT=tokens_BT, is_text_BT=is_text_BT, begins_B=begins_B)
  transition_CC = params.transition_CC
  likelihood_TBC = params.emission_CV.T[tokens_BT.T]
  live_TB1 = is_text_BT.T[..., None]

  def forward(predicted_BC, place):
    likelihood_BC, live_B1 = place
    joint_BC = predicted_BC * likelihood_BC
    scale_B1 = jnp.maximum(joint_BC.sum(axis=-1, keepdims=True), _TINY)
    belief_BC = joint_BC / scale_B1
    return belief_BC @ transition_CC, (
        belief_BC, jnp.where(live_B1, scale_B1, 1.0))

  def backward(future_BC, place):
    likelihood_BC, live_B1, scale_B1 = place
    arriving_BC = jnp.where(
        live_B1, likelihood_BC * future_BC / scale_B1, 0.0)
    earlier_BC = jnp.where(live_B1, arriving_BC @ transition_CC.T, 1.0)
    return earlier_BC, (future_BC, arriving_BC)

  prior_BC = _prior(params, begins_B)
  _, (belief_TBC, scale_TB1) = jax.lax.scan(
      forward, prior_BC, (likelihood_TBC, live_TB1))
  _, (future_TBC, arriving_TBC) = jax.lax.scan(
      backward, jnp.ones_like(prior_BC),
      (likelihood_TBC, live_TB1, scale_TB1), reverse=True)
  state_TBC = jnp.where(live_TB1, belief_TBC * future_TBC, 0.0)
  begins_B1 = begins_B[:, None]
  counts = Parameters(
      jnp.where(begins_B1, state_TBC[0], 0.0).sum(axis=0),
      jnp.where(begins_B1, 0.0, state_TBC[0]).sum(axis=0),
      transition_CC * jnp.einsum(
          'tbc,tbd->cd', belief_TBC[:-1], arriving_TBC[1:]),
      jnp.zeros_like(params.emission_CV).T.at[tokens_BT.T].add(state_TBC).T)
  return counts, jnp.log(scale_TB1).sum()


@functools.partial(jax.jit, static_argnums=1)
def _scores(params, bos_id, batch):
  """Returns nll_BT and correct_BT of `Hmm.__call__`."""
  shapes.bind(inputs_BT=batch['inputs'], targets_BT=batch['targets'],
              positions_BT=batch['positions'], segments_BT=batch['segments'])
  emission_VC = params.emission_CV.T

  def step(carry, place):
    predicted_BC, last_B, position_B = carry
    goes_on_B = ((place['segments'] == last_B)
                 & (place['positions'] == position_B + 1))
    prior_BC = jnp.where(goes_on_B[:, None], predicted_BC,
                         _prior(params, place['inputs'] == bos_id))
    joint_BC = prior_BC * emission_VC[place['inputs']]
    belief_BC = joint_BC / jnp.maximum(
        joint_BC.sum(axis=-1, keepdims=True), _TINY)
    predicted_BC = belief_BC @ params.transition_CC
    p_BV = predicted_BC @ params.emission_CV
    p_B = jnp.take_along_axis(p_BV, place['targets'][:, None], axis=1)[:, 0]
    correct_B = p_B >= p_BV.max(axis=-1)  # Much faster than argmax.
    nll_B = jnp.where(place['segments'] == 0, 0.0, -jnp.log(p_B))
    carry = predicted_BC, place['segments'], place['positions']
    return carry, (nll_B, correct_B)

  rows = batch['inputs'].shape[0]
  start = (jnp.zeros((rows, len(params.first_C))),
           jnp.full(rows, -1, batch['segments'].dtype),
           jnp.zeros(rows, batch['positions'].dtype))
  _, (nll_TB, correct_TB) = jax.lax.scan(
      step, start, {name: x_BT.T for name, x_BT in batch.items()})
  return nll_TB.T, correct_TB.T


@jax.jit
def _viterbi(params, tokens_T, begins):
  """Returns the most probable states, and log p of states and tokens."""
  log = lambda x: jnp.log(jnp.maximum(x, _TINY))
  emission_TC = log(params.emission_CV.T[tokens_T])
  transition_CC = log(params.transition_CC)
  score_C = log(_prior(params, begins[None])[0]) + emission_TC[0]

  def forward(score_C, emission_C):
    through_CC = score_C[:, None] + transition_CC
    return through_CC.max(axis=0) + emission_C, through_CC.argmax(axis=0)

  score_C, came_from_TC = jax.lax.scan(forward, score_C, emission_TC[1:])
  last = score_C.argmax()
  first, states_T = jax.lax.scan(
      lambda state, came_from_C: (came_from_C[state], state), last,
      came_from_TC, reverse=True)
  return jnp.concatenate([first[None], states_T]), score_C.max()


def _prior(params, begins_B):
  """Returns the probability of the first state of each row, [B, C]."""
  return jnp.where(begins_B[:, None], params.first_C[None],
                   params.resumed_C[None])


def _stretches(documents, length, vocab_size, bos_id):
  """Yields batches of all documents for `em_step`, all of the same shape."""
  rows = []
  for tokens in documents:
    tokens = np.asarray(tokens)
    _check(tokens, vocab_size)
    rows += [tokens[at:at + length] for at in range(0, len(tokens), length)]
  if not rows:
    raise errors.InputError(
        'A hidden Markov model needs at least one token; the documents hold '
        'none.')
  longest, count = max(map(len, rows)), min(_ROWS, len(rows))
  for at in range(0, len(rows), count):
    tokens_BT = np.zeros((count, longest), np.int32)
    is_text_BT = np.zeros((count, longest), bool)
    for row, tokens in enumerate(rows[at:at + count]):
      tokens_BT[row, :len(tokens)] = tokens
      is_text_BT[row, :len(tokens)] = True
    yield tokens_BT, is_text_BT, is_text_BT[:, 0] & (tokens_BT[:, 0] == (
        -1 if bos_id is None else bos_id))


def _check(tokens, vocab_size):
  if len(tokens) and not 0 <= tokens.min() <= tokens.max() < vocab_size:
    raise errors.InputError(
        f'Token ids should be from 0 to {vocab_size - 1}; got '
        f'{tokens[(tokens < 0) | (tokens >= vocab_size)][0]}.')
