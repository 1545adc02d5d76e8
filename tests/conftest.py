"""Eight CPU devices, strict shapes, and the data that some tests want."""
import pathlib

from absl import flags
import jax
import pytest

jax.config.update('jax_platforms', 'cpu')
jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_numpy_rank_promotion', 'raise')
# Tiny models take longer to compile than to run.
jax.config.update('jax_disable_most_optimizations', True)

ROOT = pathlib.Path(__file__).parents[1]
flags.FLAGS.mark_as_parsed()


@pytest.fixture(scope='session')
def shared_data() -> pathlib.Path:
  """The folder of real data sets beside the checkout; skips where absent."""
  path = ROOT.parent / 'shared' / 'data'
  if not path.is_dir():
    pytest.skip('The data folder beside the checkout is absent.')
  return path
