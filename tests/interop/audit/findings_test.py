import dataclasses

import numpy as np
import pytest

from lmjax.interop.audit import findings


@pytest.mark.parametrize('stop, nats, parts', [
    (findings.settled, -0.3, 1), (findings.settled, -0.09, 3),
    (findings.settled, 0.3, 8), (findings.beaten, -0.3, 1),
    (findings.beaten, -0.09, 2), (findings.beaten, 0.0, 4),
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


FOUND = findings.Finding('positions.theta', '500000.0', 0.05, 9.0, 2000, False)
BETTER = dataclasses.replace(FOUND, tokens=8000)
SURE = dataclasses.replace(BETTER, nats=0.03, z=6.0, calibrated=True)


def decided(**found):
  return findings.decided(
      dataclasses.replace(FOUND, **found),
      lambda: dataclasses.replace(BETTER, field=found.get('field', 'any')),
      lambda: SURE)


@pytest.mark.parametrize('z, close', [
    (-9.0, False), (2.9, False), (3.1, True), (4.9, True), (5.1, False)])
def test_a_close_call_is_decided_by_more_text(z, close):
  assert (decided(z=z).tokens == BETTER.tokens) == close
  assert decided(z=z, nats=0.009).tokens == FOUND.tokens


@pytest.mark.parametrize('field, nats, calibrated', [
    ('head.softcap', 0.05, True), ('head.softcap', 0.2, False),
    ('head.softcap', 0.009, False), ('block.mixer.scale', 0.05, True),
    ('block.mixer.scale', 0.2, True), ('positions.theta', 0.05, False)])
def test_what_may_only_be_sureness_is_decided_without_it(
    field, nats, calibrated):
  assert (decided(field=field, nats=nats) is SURE) == calibrated
  assert (decided(field=field, nats=nats, z=4.0) is SURE) == (
      calibrated or nats == 0.2 and field == 'head.softcap')
  assert decided(field=field, nats=nats, z=-9.0) is not SURE


def test_a_soft_cap_that_is_more_than_sureness_wins():
  soft = dataclasses.replace(SURE, field='head.softcap')
  assert soft.wins
  assert not dataclasses.replace(soft, calibrated=False).wins
  assert not dataclasses.replace(soft, nats=0.019).wins
  assert not dataclasses.replace(soft, z=4.9).wins


def test_dependent_tokens_do_not_count_as_many():
  rng = np.random.default_rng(0)
  alike = np.repeat(rng.normal(0.1, 1, 64), 32)  # 32 tokens say the same.
  every = findings.z_score(alike, np.arange(len(alike)))
  blocks = findings.z_score(alike, np.arange(len(alike)) // 32)
  assert every / blocks == pytest.approx(32 ** 0.5, rel=0.01)


def test_differences_without_noise_are_certain():
  assert findings.z_score(np.ones(4), np.arange(4)) == np.inf
  assert findings.z_score(np.zeros(4), np.arange(4)) == 0
