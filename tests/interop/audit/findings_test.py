import numpy as np
import pytest

from lmjax.interop.audit import findings


@pytest.mark.parametrize('stop, nats, parts', [
    (findings.settled, -0.3, 1), (findings.settled, -0.09, 3),
    (findings.settled, 0.3, 8), (findings.beaten, -0.3, 1),
    (findings.beaten, -0.09, 1), (findings.beaten, 0.0, 3),
    (findings.beaten, 0.3, 8), (None, -0.3, 8)])
def test_a_reading_is_scored_as_far_as_its_verdict_needs(stop, nats, parts):
  rng = np.random.default_rng(0)
  found = findings.paired('block.mixer.window', '8', (
      (rng.normal(nats, 0.5, 252), part * 252 + np.arange(252))
      for part in range(8)), stop, 8 * 252)
  assert found.tokens == parts * 252
  assert found.wins == (nats > 0)


@pytest.mark.parametrize('stop', [findings.settled, findings.beaten])
def test_a_reading_that_differs_too_little_to_win_is_given_up(stop):
  rng = np.random.default_rng(0)
  found = findings.paired('block.norm.epsilon', '1e-06', (
      (rng.normal(1e-4, 1e-4, 252), part * 252 + np.arange(252))
      for part in range(8)), stop, 8 * 252)
  assert found.tokens == 252 and not found.wins


def test_dependent_tokens_do_not_count_as_many():
  rng = np.random.default_rng(0)
  alike = np.repeat(rng.normal(0.1, 1, 64), 32)  # 32 tokens say the same.
  every = findings.z_score(alike, np.arange(len(alike)))
  blocks = findings.z_score(alike, np.arange(len(alike)) // 32)
  assert every / blocks == pytest.approx(32 ** 0.5, rel=0.01)


def test_differences_without_noise_are_certain():
  assert findings.z_score(np.ones(4), np.arange(4)) == np.inf
  assert findings.z_score(np.zeros(4), np.arange(4)) == 0
