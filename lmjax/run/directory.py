"""The run directory: its paths, and the config and facts of the run in it."""
from collections.abc import Mapping, Sequence
import dataclasses
import json
import os
import pathlib
import sys
from typing import Any

from lmjax.core import changes
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core.files import durable
from lmjax.core.files import safe_paths
from lmjax.core.files import strict_json
from lmjax.core import provenance
from lmjax.core import secrets
from lmjax.core import terminal
from lmjax.run import lock


@dataclasses.dataclass(frozen=True)
class RunDir:
  """Paths inside a run directory.

  Attributes:
    path: The directory itself.
    resumed: Whether the directory already held a run.
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
  def events(self) -> pathlib.Path:
    """The log of unusual events, such as a skipped step."""
    return self.path / 'events.jsonl'

  @property
  def stop(self) -> pathlib.Path:
    """The file that a user creates to make the run save and stop."""
    return self.path / 'STOP'

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
  def backbone(self) -> pathlib.Path:
    """The config of the model under the head of a fine-tuned run."""
    return self.path / 'backbone.json'

  @property
  def task(self) -> pathlib.Path:
    """Facts about the task of a fine-tuned run, such as names of classes."""
    return self.path / 'task.json'

  @property
  def thresholds(self) -> pathlib.Path:
    """Numbers that a task chose for one checkpoint of a fine-tuned run."""
    return self.path / 'thresholds.json'

  @property
  def fitted(self) -> pathlib.Path:
    """Arrays that a task fitted besides the model of a fine-tuned run."""
    return self.path / 'fitted.npz'

  @property
  def readout(self) -> pathlib.Path:
    """How the model's hidden states become the vector of a text; may be absent.
    """
    return self.path / 'readout.json'

  @property
  def imported(self) -> pathlib.Path:
    """Facts about the files that the run's model was imported from."""
    return self.path / 'imported.json'

  @property
  def curve(self) -> pathlib.Path:
    return self.path / 'curve.png'

  @property
  def report(self) -> pathlib.Path:
    return self.path / 'report.json'

  @property
  def held_out(self) -> pathlib.Path:
    """The losses of the held-out documents; see `by_document`."""
    return self.path / 'held_out.jsonl'

  @property
  def page(self) -> pathlib.Path:
    return self.path / 'report.html'


def open_run(
    workdir: str | os.PathLike[str], config: Any,
    hashes: Mapping[str, str] | None = None, override: Sequence[str] = (),
) -> RunDir:
  """Creates a run directory, or opens one that holds a run with this config.

  Args:
    workdir: The directory; its parents are created too.
    config: The frozen config of the run, which is written to config.json. Its
      class attribute `changes`, a `changes.Rules`, lists the fields that may
      differ when a run is resumed.
    hashes: Digests of the files that the run reads, by field; see
      `changes.between`. They are written to run.json with versions, git state,
      devices, the command line and the accepted differences.
    override: Fields that may differ although they affect results.

  Raises:
    InputError: If the directory holds a run with another config or another
      digest, or cannot be written to.
  """
  run, accepted = _checked(workdir, config, hashes, override)
  durable.make_folder(run.path)
  facts = provenance.describe() | {'hashes': secrets.redact(dict(hashes or {}))}
  if accepted:
    facts['accepted'] = accepted
    print(terminal.printable('The run continues with changes: ' + '; '.join(
        f'{changes.line(field, *pair)} ({why})'
        for field, (*pair, why) in accepted.items())) + '.', file=sys.stderr)
  starts = strict_json.read(run.facts) if run.facts.exists() else []
  atomic.write(run.facts, json.dumps(starts + [facts], indent=2) + '\n')
  atomic.write(run.config, json.dumps(
      secrets.redact(config_lib.to_dict(config)), indent=2) + '\n')
  return run


def check(
    workdir: str | os.PathLike[str], config: Any,
    hashes: Mapping[str, str] | None = None, override: Sequence[str] = (),
) -> RunDir:
  """Makes the checks of `open_run` without writing; returns the directory.

  It is meant for a script that has work to do before the run starts, such as
  reading its data.
  """
  return _checked(workdir, config, hashes, override)[0]


def _checked(workdir, config, hashes, override):
  """Returns the run directory and its differences, {field: (saved, now, why)}.
  """
  path = pathlib.Path(workdir)
  lock.check_writable(path)
  run = RunDir(path, resumed=RunDir(path).config.exists())
  now = secrets.redact(config_lib.to_dict(config))  # config.json is redacted.
  hashes = secrets.redact(dict(hashes or {}))
  if not run.resumed:
    changes.check_names(override, config_lib.leaves(now))
    return run, {}
  try:
    saved = strict_json.read(safe_paths.safe_join(path, run.config.name))
    before = strict_json.read(
        safe_paths.safe_join(path, run.facts.name))[-1]['hashes']
    if not isinstance(saved, dict) or not isinstance(before, dict):
      raise ValueError('it should hold objects')
  except (OSError, ValueError, LookupError, TypeError) as error:
    raise errors.InputError(
        f'{run.path} holds a run whose config.json or run.json cannot be read '
        f'({error}). Use another --workdir.') from error
  changes.check_names(
      override, config_lib.leaves(saved) | config_lib.leaves(now))
  changed = config_lib.difference(saved, now)
  changed |= changes.between(before, hashes)
  why = changes.judge(str(run.path), changed, config.changes, override)
  return run, {field: (*changed[field], why[field]) for field in changed}
