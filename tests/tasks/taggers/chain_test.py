"""A chain runs over words, and its loss is per word."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation.downstream.tags import entities
from lmjax.models.heads import chain as chain_lib
from lmjax.nn import crf
from lmjax.objectives import labels
from lmjax.tasks.taggers import chain
from lmjax.tasks.taggers import tags

TAGGER = chain.Chain()
NAMES = 'O', 'B', 'I'
ALLOWED = entities.allowed(NAMES)
WORDS = np.array([[0, 1, 0, 1, 1, 0], [0, 1, 1, 0, 0, 0], [0] * 6], np.int32)
BATCH = {
    'words': WORDS,
    'labels': np.array([[9, 0, 9, 1, 2, 9], [9, 0, 0, 9, 9, 9], [9] * 6]) % 9,
    # The second word of the second sentence has no label.
    'weights': (WORDS * [[1] * 6, [1, 1, 0, 0, 0, 0], [0] * 6]).astype(float)}


def drawn(words=WORDS):
  draw = np.random.default_rng(3).standard_normal
  make = lambda *shape: jnp.asarray(draw(shape), jnp.float32)
  return chain_lib.Scores(
      make(*words.shape, 3), crf.Transitions(make(3), make(3, 3), make(3)))


def alone(scores, row):
  """Returns the scores and the mask of a sentence without other columns."""
  places = np.flatnonzero(WORDS[row])
  return (scores.emissions_BTC[row, places][None], scores.transitions,
          np.ones((1, len(places)), bool))


@pytest.mark.slow
def test_the_chain_skips_what_is_no_word_and_the_loss_is_per_word():
  scores = drawn()
  found, means = jax.jit(lambda scores: (
      TAGGER.outputs(scores, BATCH, ALLOWED),
      TAGGER.means(scores, BATCH, labels.Labels())))(scores)
  emissions, transitions, mask = alone(scores, 0)
  first = crf.log_partition(emissions, transitions, mask) - crf.score(
      emissions, transitions, np.array([[0, 1, 2]]), mask)
  one, two = np.asarray(crf.log_marginals(*alone(scores, 1)))[0]
  np.testing.assert_allclose(
      found['nll'], [first[0], -one[0], 0.0], atol=1e-5)
  assert means['loss'].value == pytest.approx(
      float(first[0] - one[0]) / 4, 1e-5)
  assert float(means['loss'].weight) == 4 and means.keys() == {'loss', 'nll'}

  output = jax.tree.map(lambda x: x[1], found)
  for decode in 'independent', 'valid':
    result = TAGGER.tags(
        output, [1, None, 2], tags.Known([0], [0]), NAMES, decode)
    np.testing.assert_allclose(result.log_p_WC[[0, 2]], [one, two], atol=1e-5)
    assert result.log_p_WC[1].tolist() == [0, -np.inf, -np.inf]
    assert result.nll == pytest.approx(-float(one[0]), 1e-5)
  sequence, _ = crf.viterbi(
      emissions, transitions.restricted(ALLOWED), mask)
  result = TAGGER.tags(jax.tree.map(lambda x: x[0], found), [1, 3, 4],
                       tags.Known([], []), NAMES, 'valid')
  assert result.best_W.tolist() == sequence[0].tolist()


def test_each_way_to_decode_has_its_meaning():
  best = np.array([0, 0, 1])  # The best sequence, and the best of each word.
  output = {'log_p': np.log([[.4, .3, .3], [.1, .2, .7], [.2, .6, .2]]),
            'best': best, 'nll': np.float32(0)}
  args = output, [0, 1, 2], tags.Known([], []), NAMES
  assert TAGGER.tags(*args, 'valid').best_W.tolist() == [0, 0, 1]
  assert TAGGER.tags(*args, 'independent').best_W.tolist() == [0, 2, 1]


def test_windows_are_joined_and_word_by_word_objectives_are_refused():
  scores = drawn(np.zeros((6, 5)))
  assert TAGGER.joined(scores, 2).emissions_BTC.shape == (2, 15, 3)
  TAGGER.check(labels.Labels())
  with pytest.raises(errors.InputError, match='kind=TokenConfig'):
    TAGGER.check(labels.Labels(label_smoothing=0.1))
