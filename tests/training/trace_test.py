"""A trace records the requested steps."""
import os

import jax.numpy as jnp
import pytest

from lmjax.training import trace


def recorded(path):
  return list(path.rglob('*.xplane.pb'))


@pytest.mark.parametrize('name', [
    'a[1]', *(pytest.param(name, marks=pytest.mark.slow)
              for name in ('a\\b', os.fsdecode(b'\xff')))])
@pytest.mark.slow
def test_every_name_can_be_used(tmp_path, name):
  tracer = trace.Trace(tmp_path / name / 'profile', first=0)
  tracer.before_step()
  tracer.close()
  assert len(recorded(tmp_path / name)) == 1


@pytest.mark.slow
def test_records_a_few_steps(tmp_path):
  tracer = trace.Trace(tmp_path, first=1, count=2)
  for step in range(4):
    tracer.before_step()
    assert bool(recorded(tmp_path)) == (step == 3)
    jnp.ones(3).block_until_ready()
  tracer.close()
  assert len(recorded(tmp_path)) == 1


@pytest.mark.slow
def test_a_run_that_ends_early_is_recorded(tmp_path):
  tracer = trace.Trace(tmp_path, first=0)
  tracer.before_step()
  tracer.close()
  assert recorded(tmp_path)
