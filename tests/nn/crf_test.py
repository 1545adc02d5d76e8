"""Chains against all sequences of tags, one by one, in float64."""
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.nn import crf

C = 3
# Words apart from each other, none, one, and up to six of them.
MASK = np.array([[1, 0, 1, 1, 0, 1], [0] * 6, [0, 0, 1, 0, 0, 0], [1] * 6,
                 [1, 1, 0, 0, 0, 0]], bool)
B, T = MASK.shape
ALLOWED = crf.Allowed((True, True, False), (
    (True, True, False), (True, True, True), (True, True, True)))  # O, B, I.


def drawn(seed=0, scale=2.0):
  draw = np.random.default_rng(seed).standard_normal
  make = lambda *shape: jnp.asarray(scale * draw(shape), jnp.float32)
  return make(B, T, C), crf.Transitions(make(C), make(C, C), make(C))


def sequences(emissions_TC, transitions, mask_T):
  """Yields each sequence of tags of the words with its score."""
  start, step, stop = (np.asarray(x, np.float64) for x in transitions)
  here = np.asarray(emissions_TC, np.float64)[mask_T]
  for tags in itertools.product(range(C), repeat=len(here)):
    total = sum(here[i, tag] for i, tag in enumerate(tags))
    total += sum(step[a, b] for a, b in zip(tags, tags[1:]))
    yield tags, total + (start[tags[0]] + stop[tags[-1]] if tags else 0)


def log_sum(scores):
  top = max(scores)
  return top + np.log(sum(np.exp(s - top) for s in scores))


def rows(emissions, transitions):
  for b in range(B):
    yield b, dict(sequences(emissions[b], transitions, MASK[b]))


@jax.jit
def summed(emissions, transitions):
  """Returns log Z of each row, and the gradients of their sum."""
  def total(*given):
    log_z_B = crf.log_partition(*given, MASK)
    return log_z_B.sum(), log_z_B
  gradients, log_z_B = jax.grad(total, (0, 1), has_aux=True)(
      emissions, transitions)
  return log_z_B, gradients


@pytest.fixture(scope='module', params=[None, ALLOWED], ids=['free', 'bio'])
def chain(request):
  emissions, transitions = drawn()
  return emissions, transitions.restricted(request.param)


@pytest.mark.slow
def test_log_partition_marginals_and_gradients_equal_all_sequences(chain):
  log_z_B, (gradient, links) = summed(*chain)
  log_p_BTC = jax.jit(crf.log_marginals)(*chain, MASK)
  step_CC = np.zeros((C, C))
  for b, scores in rows(*chain):
    assert log_z_B[b] == pytest.approx(log_sum(scores.values()), abs=2e-5)
    p = {tags: np.exp(score - log_sum(scores.values()))
         for tags, score in scores.items()}
    places = np.flatnonzero(MASK[b])
    p_TC = np.zeros((T, C))
    for tags, share in p.items():
      p_TC[places, list(tags)] += share
      for before, after in zip(tags, tags[1:]):
        step_CC[before, after] += share
    np.testing.assert_allclose(
        np.exp(log_p_BTC[b, places]), p_TC[places], atol=2e-5)
    np.testing.assert_allclose(gradient[b], p_TC, atol=2e-5)
    assert (log_p_BTC[b, ~MASK[b]] == 0).all()
  np.testing.assert_allclose(links.step_CC, step_CC, atol=1e-4)


def test_the_best_sequences_are_the_best_of_all(chain):
  k = 4
  tags_BWT, scores_BW = jax.jit(crf.k_best, static_argnums=3)(*chain, MASK, k)
  best_BT, best_B = jax.jit(crf.viterbi)(*chain, MASK)
  for b, scores in rows(*chain):
    ranked = sorted(
        ((score, tags) for tags, score in scores.items() if score > -1e20),
        reverse=True)[:k]
    for w in range(k):
      if w >= len(ranked):
        assert scores_BW[b, w] == -np.inf
        continue
      assert scores_BW[b, w] == pytest.approx(ranked[w][0], abs=2e-5)
      assert tuple(tags_BWT[b, w, MASK[b]].tolist()) == ranked[w][1]
    assert tuple(best_BT[b, MASK[b]].tolist()) == ranked[0][1]
    assert best_B[b] == scores_BW[b, 0]


def test_the_loss_is_the_log_probability_of_the_known_tags(chain):
  known = np.array([[1, 1, 0, 1, 1, 1], [1] * 6, [1] * 6, [1, 0, 0, 1, 0, 1],
                    [0] * 6], bool)
  tags = np.array([[1, 0, 2, 2, 0, 0], [0] * 6, [0, 0, 1, 0, 0, 0],
                   [1, 2, 2, 0, 1, 0], [1, 2] * 3])
  loss = jax.jit(crf.nll)
  for given in known, np.ones_like(known):
    nll_B = loss(*chain, tags, given, MASK)
    for b, scores in rows(*chain):
      wanted, seen = tags[b][MASK[b]], given[b][MASK[b]]
      fit = [score for each, score in scores.items()
             if (np.array(each, int)[seen] == wanted[seen]).all()]
      assert nll_B[b] == pytest.approx(
          log_sum(scores.values()) - log_sum(fit), abs=4e-5), b
  assert crf.score(*chain, tags, MASK)[0] == pytest.approx(
      dict(rows(*chain))[0][1, 2, 2, 0], abs=1e-5)


def test_a_tag_that_may_not_follow_counts_as_unknown():
  emissions, transitions = drawn()
  transitions = transitions.restricted(ALLOWED)
  cut = np.array([[0, 0, 2, 2, 0, 1]] * B)  # O I I B: a word is left out.
  whole = np.ones((B, T), bool)
  known = whole.copy()
  known[0, 2] = known[1:, 0] = False
  loss = jax.jit(jax.value_and_grad(
      lambda e, known: crf.nll(e, transitions, cut, known, MASK)[0]))
  found, expected = loss(emissions, whole), loss(emissions, known)
  assert 0 < found[0] < 50
  np.testing.assert_array_equal(found[0], expected[0])
  np.testing.assert_array_equal(found[1], expected[1])


def test_large_scores_and_rare_paths_stay_finite():
  emissions, transitions = drawn(scale=300.0)
  transitions = transitions.restricted(ALLOWED)
  log_z_B, (gradient, _) = summed(emissions, transitions)
  assert np.isfinite(log_z_B).all() and np.isfinite(gradient).all()
  np.testing.assert_allclose(  # One tag for each word.
      gradient.sum(axis=2), MASK.astype(float), atol=1e-4)
  for b, scores in rows(emissions, transitions):
    assert log_z_B[b] == pytest.approx(log_sum(scores.values()), rel=1e-6)


def test_no_allowed_sequence_is_seen():
  emissions, transitions = drawn()
  nothing = crf.Allowed((False,) * C, ((True,) * C,) * C)
  log_z_B = crf.log_partition(emissions, transitions.restricted(nothing), MASK)
  assert ((log_z_B < crf.FORBIDDEN / 2) == MASK.any(axis=1)).all()


def test_shapes_are_checked():
  emissions, transitions = drawn()
  with pytest.raises(ValueError, match='mask_BT has T=5'):
    crf.log_partition(emissions, transitions, MASK[:, :5])
