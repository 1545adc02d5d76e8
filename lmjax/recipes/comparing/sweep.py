"""The runs of a sweep: one for each combination of values and each seed."""
from collections.abc import Mapping, Sequence
import dataclasses
import hashlib
import itertools
import pathlib
import re
import sys
from typing import Any

from lmjax.core import changes as changes_lib
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.files import strict_json
from lmjax.core.files import user_paths
from lmjax.core.flags import overrides
from lmjax.core.flags import values
from lmjax.core import secrets
from lmjax import experiment
from lmjax.run import directory
from lmjax.training import writers

_UNSAFE = re.compile(r'[\x00-\x1f\x7f%/\\:*?"<>|]')
_LONGEST = 200  # Bytes of a folder's name; file systems allow 255.


@dataclasses.dataclass(frozen=True)
class Point:
  """A run of a sweep.

  Attributes:
    settings: {path: text} of the fields that the sweep varies, without seeds.
    seed: The run's seed; None if the model has none.
    changes: {path: text} of all flags of the run.
    config: The run's config.
    workdir: The run's directory.
  """
  settings: Mapping[str, str]
  seed: int | None
  changes: Mapping[str, str]
  config: Any
  workdir: pathlib.Path

  @property
  def name(self) -> str:
    """The name of the run's directory."""
    return self.workdir.name

  @property
  def script(self) -> str:
    """The name of the script that makes the run."""
    return ('finetune' if isinstance(self.config, experiment.Finetune)
            else 'pretrain')

  def command(self, scripts: pathlib.Path, name: str | None,
              others: Sequence[str] = ()) -> list[str]:
    """Returns the command of the run.

    Args:
      scripts: The folder of the scripts.
      name: The value of --config; None for the script's default.
      others: Further flags.
    """
    chosen = [] if name is None else [f'--config={name}']
    return [sys.executable, str(scripts / f'{self.script}.py'),
            f'--workdir={self.workdir}', *chosen,
            *(f'--config.{path}={text}' for path, text in self.changes.items()),
            *others]

  def finished(self) -> bool:
    """Returns whether the directory holds this run's results."""
    run = directory.RunDir(self.workdir)
    if not run.report.exists() or not run.config.exists():
      return False
    wanted = secrets.redact(config_lib.to_dict(self.config))
    changed = config_lib.difference(strict_json.read(run.config), wanted)
    if not all(changes_lib.covered(field, self.config.changes.cosmetic)
               for field in changed):
      return False  # It is continued with --override.
    training = getattr(self.config, 'training', None)
    if training is None or training.stop.patience is not None:
      return True
    # A run that is extended has the report of its first end until its second.
    last = max((row['step'] for row in writers.read(run.metrics)), default=0)
    return last >= training.steps


def points(base: Any, cls: Any, given: Mapping[str, str],
           swept: Mapping[str, Sequence[str]], seeds: int,
           workdir: pathlib.Path, names: Mapping[str, str] | None = None
           ) -> list[Point]:
  """Returns the runs of a sweep, with every config built and checked.

  Seeds count up from the config's; they set the initial parameters, dropout and
  the order of the training data. Runs share the cache of tokenized text.

  Args:
    base: The config without changes.
    cls: The types of config that are accepted.
    given: {path: text} of the fields that are the same in all runs.
    swept: {path: texts} of the fields that vary.
    seeds: Number of runs for each combination of values.
    workdir: The folder of all runs.
    names: {path: its flag} of `given`, for messages.

  Raises:
    InputError: If a field is unknown, a value is not one of its type, or two
      runs would be the same.
  """
  for path in swept:
    if path in given:
      raise errors.InputError(
          f'{path} is given by both --config.{path} and --sweep.{path}.')
  names = {**(names or {}), **{path: f'--sweep.{path}' for path in swept}}
  build = lambda changes: user_paths.expanded(
      overrides.override(base, changes, cls, names=names))
  found: dict[str, Point] = {}
  for texts in itertools.product(*swept.values()):
    changes = {**given, **dict(zip(swept, texts))}
    config = build(changes)
    settings = {path: _text_at(config, path) for path in swept}
    if hasattr(config, 'data') and config.data.cache is None:
      changes['data.cache'] = str(workdir / 'cache')
    for seed in _seeds(config, swept, seeds):
      own = changes | _seeded(config, seed)
      name = _name(settings | ({} if seed is None else {'seed': str(seed)}))
      if name in found:
        raise errors.InputError(
            f'Two runs of the sweep would be {name!r}: a value is given twice.')
      found[name] = Point(settings, seed, own, build(own), workdir / name)
  return list(found.values())


def _seeds(config: Any, swept: Mapping[str, Any], count: int
           ) -> list[int | None]:
  """Returns the seeds of a combination of values; [None] if it has none."""
  if 'training.seed' in swept or not hasattr(config, 'training'):
    if count > 1:
      raise errors.InputError(
          f'--seeds={count}: ' + (
              'the seeds are given by --sweep.training.seed.'
              if 'training.seed' in swept else
              f'{type(config.model).__name__} is counted, not trained from a '
              'seed; leave --seeds out.'))
    return [None]
  return [config.training.seed + i for i in range(count)]


def _seeded(config: Any, seed: int | None) -> dict[str, str]:
  """Returns the changes that give a config a seed."""
  if seed is None:
    return {}
  changes = {'training.seed': str(seed)}
  if isinstance(config, experiment.Pretrain):
    moved = config.data.seed + seed - config.training.seed
    changes['data.seed'] = str(moved)
  return changes


def _text_at(config: Any, path: str) -> str:
  """Returns the text of the value at a path; of `a.kind`, the name of a's kind.
  """
  value = config
  for part in path.split('.'):
    if part == 'kind':
      return 'none' if value is None else type(value).__name__
    value = value[int(part)] if part.isdecimal() else getattr(value, part)
  return values.text(value)


def _name(settings: Mapping[str, str]) -> str:
  """Returns a folder's name, such as 'optimizer.learning_rate=0.001,seed=0'.

  Characters that some file systems do not allow are percent-encoded, and a long
  name is cut and ends in a hash.
  """
  whole = _UNSAFE.sub(lambda found: f'%{ord(found[0]):02X}', ','.join(
      f'{path}={text}' for path, text in settings.items()))
  if len(whole.encode()) <= _LONGEST:
    return whole
  start = whole.encode()[:_LONGEST - 11].decode(errors='ignore')
  return f'{start}...{hashlib.sha256(whole.encode()).hexdigest()[:8]}'
