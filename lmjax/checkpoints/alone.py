"""Options that let Orbax work in one process of several without the others."""
from typing import Any

import jax


def options() -> dict[str, Any]:
  """Returns arguments for Orbax's classes to act for this process alone.

  By default they would wait for all processes at every file.
  """
  import orbax.checkpoint as ocp
  if jax.process_count() == 1:
    return {}
  index = jax.process_index()
  return {'multiprocessing_options': ocp.options.MultiprocessingOptions(
      primary_host=index, active_processes={index},
      barrier_sync_key_prefix=f'process_{index}')}
