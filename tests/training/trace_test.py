"""A trace holds the steps asked for."""
import jax.numpy as jnp

from lmjax.training import trace


def test_records_a_few_steps(tmp_path):
  tracer = trace.Trace(tmp_path, first=1, count=1)
  for step in range(3):
    assert bool(list(tmp_path.rglob('*.xplane.pb'))) == (step > 1)
    tracer.before_step()
    jnp.ones(3).block_until_ready()
  tracer.close()
  assert len(list(tmp_path.rglob('*.xplane.pb'))) == 1


def test_a_run_that_ends_early_is_recorded(tmp_path):
  tracer = trace.Trace(tmp_path, first=0)
  tracer.before_step()
  tracer.close()
  assert list(tmp_path.rglob('*.xplane.pb'))
