"""Eight CPU devices, strict shapes, and the data that some tests want."""
import gc
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
os.environ['JAX_DISABLE_MOST_OPTIMIZATIONS'] = 'true'  # Of scripts.
if jaxlib.version.__version_info__[:2] == (0, 10):
  os.environ['XLA_FLAGS'] = ' '.join([
      '--xla_cpu_use_fusion_emitters=false',
      '--xla_cpu_parallel_codegen_split_count=1',
      # Eight devices share few cores: where other work takes these, one of them
      # may come to a collective after the 40 s at which XLA aborts.
      '--xla_cpu_collective_call_terminate_timeout_seconds=600',
      os.environ.get('XLA_FLAGS', '')])

# Tests survive no power cut, so they need not wait for the disk.
os.fsync = lambda descriptor: None

_LARGEST_CACHE = 2**30  # Bytes.

ROOT = pathlib.Path(__file__).parents[1]
pytest_plugins = ['tests.reference.toy']
flags.FLAGS.mark_as_parsed()


def pytest_configure(config):
  """Keeps compiled programs in pytest's cache.

  Workers, the scripts that tests start, and later runs share them: most of the
  tests' time is compilation. `--cache-clear` empties the cache, `-p no:cacheprovider` does
  without it.
  """
  if not hasattr(config, 'cache'):
    return
  folder = config.cache.mkdir('compilations')
  if not hasattr(config, 'workerinput') and _LARGEST_CACHE < sum(
      path.stat().st_size for path in folder.iterdir()):
    for path in folder.iterdir():  # Mostly of code that has changed since.
      path.unlink()
  for name, value in (
      ('jax_compilation_cache_dir', str(folder)),
      ('jax_persistent_cache_min_compile_time_secs', 0),
      ('jax_persistent_cache_min_entry_size_bytes', -1)):
    jax.config.update(name, value)
    os.environ[name.upper()] = str(value)  # For scripts that tests start.


def pytest_collection_finish():
  """Spares the garbage collector what was imported and collected.

  Tracing makes many objects, and going through all others each time would take
  a twentieth of the tests' time.
  """
  gc.collect()
  gc.freeze()
  gc.set_threshold(20_000, 20, 50)


@pytest.fixture(scope='session')
def shared_data() -> pathlib.Path:
  """The folder of real data sets beside the checkout; skips where absent."""
  path = ROOT.parent / 'shared' / 'data'
  if not path.is_dir():
    pytest.skip('The data folder beside the checkout is absent.')
  return path
