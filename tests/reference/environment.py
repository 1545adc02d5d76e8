"""The environment of the scripts that tests start."""
import os

_COMPILATION = ('XLA_FLAGS', 'JAX_DISABLE_MOST_OPTIMIZATIONS',
                'JAX_COMPILATION_CACHE_DIR',
                'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS',
                'JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES')

# For scripts that train for longer than they compile.
OPTIMIZED = {'XLA_FLAGS': '', 'JAX_DISABLE_MOST_OPTIMIZATIONS': 'false'}


def clean(**variables: str) -> dict[str, str]:
  """Returns an environment without anything that a user may have set.

  Only what tests/conftest.py sets to compile faster is taken over.
  """
  return {'PATH': '/usr/bin:/bin', 'HOME': '/tmp', 'JAX_PLATFORMS': 'cpu'} | {
      name: os.environ[name] for name in _COMPILATION if name in os.environ
  } | variables
