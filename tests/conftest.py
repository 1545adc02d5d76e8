"""Eight CPU devices, strict shapes, and the data that some tests want."""
import os
import pathlib

from absl import flags
import jax
import jaxlib
import pytest

jax.config.update('jax_platforms', 'cpu')
jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_numpy_rank_promotion', 'raise')
# Tiny models take longer to compile than to run: XLA's older emitters take half
# as long. Set for the versions that know them, as an unknown flag is fatal.
jax.config.update('jax_disable_most_optimizations', True)
if jaxlib.version.__version_info__[:2] == (0, 10):
  os.environ['XLA_FLAGS'] = ' '.join([
      '--xla_cpu_use_fusion_emitters=false',
      '--xla_cpu_parallel_codegen_split_count=1',
      os.environ.get('XLA_FLAGS', '')])

ROOT = pathlib.Path(__file__).parents[1]
pytest_plugins = ['tests.reference.toy']
flags.FLAGS.mark_as_parsed()


@pytest.fixture(scope='session')
def shared_data() -> pathlib.Path:
  """The folder of real data sets beside the checkout; skips where absent."""
  path = ROOT.parent / 'shared' / 'data'
  if not path.is_dir():
    pytest.skip('The data folder beside the checkout is absent.')
  return path
