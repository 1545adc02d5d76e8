"""The origin of a result: versions, commit, command line and devices."""
import datetime
import importlib.metadata
import os
import pathlib
import platform
import shlex
import subprocess
import sys
from typing import Any

import jax

from lmjax.core import secrets


def describe() -> dict[str, Any]:
  """Returns versions, commit, command line and devices, as JSON types.

  The command is one text, quoted so that a shell reads the same arguments.
  """
  def version(name):
    try:
      return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      return None

  names = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy',
           'lmjax')
  devices = jax.devices()
  return {
      'started': datetime.datetime.now(datetime.timezone.utc).isoformat(
          timespec='seconds'),
      'command': shlex.join(secrets.command(sys.orig_argv)),
      'versions': {'python': platform.python_version()} | {
          name: version(name) for name in names},
      'git': _git_state(),
      'devices': [len(devices), devices[0].device_kind],
      'platform': platform.platform(),
      'cores': os.cpu_count(),
  }


def _git_state() -> dict[str, Any] | None:
  """Returns the commit and whether files differ from it.

  The result is None without git or outside a checkout.
  """
  def git(*args):
    return subprocess.run(
        ['git', *args], cwd=pathlib.Path(__file__).parent, check=True,
        capture_output=True, text=True, timeout=10).stdout.strip()
  try:
    return {'commit': git('rev-parse', 'HEAD'),
            'dirty': bool(git('status', '--porcelain'))}
  except (OSError, subprocess.SubprocessError):
    return None
