"""The run directory: what a run was made of, and where everything lies."""
from collections.abc import Mapping, Sequence
import dataclasses
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
from typing import Any

import jax

from lmjax.core import config as config_lib
from lmjax.core import errors


@dataclasses.dataclass(frozen=True)
class RunDir:
  """Paths inside a run directory.

  Attributes:
    path: The directory itself.
    resumed: Whether a run with this config had been started in it before.
  """
  path: pathlib.Path
  resumed: bool = False

  @property
  def config(self) -> pathlib.Path:
    return self.path / 'config.json'

  @property
  def facts(self) -> pathlib.Path:
    return self.path / 'run.json'

  @property
  def metrics(self) -> pathlib.Path:
    return self.path / 'metrics.jsonl'

  @property
  def checkpoints(self) -> pathlib.Path:
    return self.path / 'checkpoints'

  @property
  def counts(self) -> pathlib.Path:
    """The tables of a counted model."""
    return self.path / 'counts.npz'

  @property
  def tensorboard(self) -> pathlib.Path:
    return self.path / 'tensorboard'

  @property
  def profile(self) -> pathlib.Path:
    return self.path / 'profile'

  @property
  def tokenizer(self) -> pathlib.Path:
    return self.path / 'tokenizer'

  @property
  def curve(self) -> pathlib.Path:
    return self.path / 'curve.png'

  @property
  def report(self) -> pathlib.Path:
    return self.path / 'report.json'

  @property
  def page(self) -> pathlib.Path:
    return self.path / 'report.html'


def open_run(
    workdir: str | os.PathLike[str], config: Any,
    hashes: Mapping[str, str] | None = None, free: Sequence[str] = (),
) -> RunDir:
  """Creates a run directory, or opens the one that this config has made.

  Args:
    workdir: The directory; its parents are created too.
    config: The frozen config of the run; written to config.json.
    hashes: Digests of what the run reads (data, tokenizer); written to
      run.json with versions, git state, devices and the command line.
    free: Fields, such as 'steps', that may differ when a run continues.

  Raises:
    InputError: If the directory holds a run with another config or another
      digest, or cannot be written to.
  """
  run = check(workdir, config, hashes, free)
  run.path.mkdir(parents=True, exist_ok=True)
  facts = describe() | {'hashes': dict(hashes or {})}
  starts = json.loads(run.facts.read_text()) if run.facts.exists() else []
  write(run.facts, json.dumps(starts + [facts], indent=2) + '\n')
  write(run.config, config_lib.dumps(config))
  return run


def check(
    workdir: str | os.PathLike[str], config: Any,
    hashes: Mapping[str, str] | None = None, free: Sequence[str] = (),
) -> RunDir:
  """Returns the run directory, touching nothing; see `open_run`.

  For a script that has work to do, such as reading its data, before it knows
  that there will be a run.
  """
  path = pathlib.Path(workdir)
  _check_writable(path)
  run = RunDir(path, resumed=RunDir(path).config.exists())
  if run.resumed:
    _refuse_difference(run, config, dict(hashes or {}), free)
  return run


def write(path: str | os.PathLike[str], text: str) -> None:
  """Writes a text file at once: a reader never sees half of it."""
  temporary = f'{os.fspath(path)}.tmp'
  with open(temporary, 'w', encoding='utf-8') as file:
    file.write(text)
    file.flush()
    os.fsync(file.fileno())
  os.replace(temporary, path)


def describe() -> dict[str, Any]:
  """Returns what a result depends on besides its config, as JSON types."""
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
      'command': sys.argv,
      'versions': {'python': platform.python_version()} | {
          name: version(name) for name in names},
      'git': _git_state(),
      'devices': [len(devices), devices[0].device_kind],
      'platform': platform.platform(),
      'cores': os.cpu_count(),
  }


def _check_writable(path):
  """Raises InputError where `path` is not, or cannot become, a directory."""
  nearest = next(p for p in (path, *path.absolute().parents) if p.exists())
  if not nearest.is_dir():
    raise errors.InputError(
        f'workdir {str(path)!r} cannot be a directory: {nearest} is a file. '
        f'Use another --workdir.')
  if not os.access(nearest, os.W_OK | os.X_OK):
    raise errors.InputError(
        f'workdir {str(path)!r} cannot be written to: no permission in '
        f'{nearest}. Use another --workdir.')


def _refuse_difference(run, config, hashes, free):
  """Raises InputError with a table of what differs from the run on disk."""
  try:
    saved = json.loads(run.config.read_text())
    before = json.loads(run.facts.read_text())[-1]['hashes']
  except (OSError, ValueError, LookupError) as error:
    raise errors.InputError(
        f'{run.path} holds a run whose config.json or run.json cannot be read '
        f'({error}). Use another --workdir.') from error
  changed = config_lib.difference(saved, config_lib.to_dict(config))
  changed = {field: pair for field, pair in changed.items()
             if field not in free}
  for name in before.keys() & hashes.keys():
    if before[name] != hashes[name]:
      changed[f'{name} (SHA-256)'] = before[name][:12], hashes[name][:12]
  if changed:
    table = ''.join(f'\n  {field}: {old!r} -> {new!r}'
                    for field, (old, new) in changed.items())
    raise errors.InputError(
        f'{run.path} holds a run made from something else (saved -> now):'
        f'{table}\nUse another --workdir, or the saved values to continue.')


def _git_state() -> dict[str, Any] | None:
  """Returns commit and whether the tree was dirty; None outside a checkout."""
  def git(*args):
    return subprocess.run(
        ['git', *args], cwd=pathlib.Path(__file__).parent, check=True,
        capture_output=True, text=True, timeout=10).stdout.strip()
  try:
    return {'commit': git('rev-parse', 'HEAD'),
            'dirty': bool(git('status', '--porcelain'))}
  except (OSError, subprocess.SubprocessError):
    return None
