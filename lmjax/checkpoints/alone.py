"""Orbax in one process of several: it would wait for all at every file."""
from typing import Any

import jax


def options() -> dict[str, Any]:
  """Returns arguments of Orbax' classes that make it act for one process."""
  import orbax.checkpoint as ocp
  if jax.process_count() == 1:
    return {}
  index = jax.process_index()
  return {'multiprocessing_options': ocp.options.MultiprocessingOptions(
      primary_host=index, active_processes={index},
      barrier_sync_key_prefix=f'process_{index}')}
