"""Compiles quickly: nothing here runs long."""
import jax
import pytest


@pytest.fixture(autouse=True)
def compile_quickly():
  """Trades the speed of what is compiled for the time it takes to compile."""
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)
