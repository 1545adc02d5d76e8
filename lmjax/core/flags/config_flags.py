"""Command-line flags that choose a config and change its fields.

  --config=NAME            chooses the config: see `named`
  --config.a.kind=Name     chooses the kind of a part, with its own defaults
  --config.a.b=value       sets a field; also `--config.a.b value`
  --config.a.b, --noconfig.a.b    sets a field to true or false

The flags may come in any order and from a --flagfile. If a flag is given twice,
the last value counts.
"""
from collections.abc import Mapping, Sequence
import pathlib
import re
import sys
from typing import Any, TypeVar

from absl import flags

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.core.flags import config_help
from lmjax.core.flags import named as named_lib
from lmjax.core.flags import overrides
from lmjax.core import secrets
from lmjax.core import terminal

flags.disclaim_key_flags()  # --help lists these flags under the script.

_NAME = 'config'
_FIELD = re.compile(rf'--?{_NAME}\.([^=]+)(?:=(.*))?', re.DOTALL)
_FALSE = re.compile(rf'--?no{_NAME}\.([^=]+)')


class ConfigFlag(flags.Flag):
  """The flag --config, together with the --config.PATH flags.

  Attributes:
    named: The configs that can be chosen by name.
    short: {name of a shorthand flag: path of the field that it sets}.
    workdir: The flag with the directory of a run, whose saved config is used
      without --config; None if the script starts no runs.
    changes: {path: text} for the fields that the command line sets.
  """

  def __init__(self, named: named_lib.Named, short: Mapping[str, str],
               workdir: str | None = None):
    super().__init__(
        flags.ArgumentParser(), None, _NAME, None,
        'The config: a name, a Python file, a run directory or its '
        'config.json; see below.')
    self.named, self.short, self.workdir = named, dict(short), workdir
    self.changes: dict[str, str] = {}

  def take(self, args: Sequence[str]) -> list[str]:
    """Stores the --config.PATH arguments as changes; returns the others."""
    rest, args = [], list(args)
    while args:
      arg = args.pop(0)
      if arg == '--':
        return rest + [arg, *args]
      if found := _FALSE.fullmatch(arg):
        self.changes[found[1]] = 'false'
      elif found := _FIELD.fullmatch(arg):
        path, value = found.groups()
        if value is None:  # The next argument is the value, if it can be one.
          value = args.pop(0) if args and _is_value(args[0]) else 'true'
        self.changes[path] = value
      else:
        rest.append(arg)
    return rest

  def config(self) -> Any:
    """Returns the config with all changes; prints which parts were replaced.

    A script that starts runs also prints where the config is from.

    Raises:
      InputError: If the flags name an unknown config, kind or field, or give a
        field an invalid value; or if the config is from a run, which does not
        save secrets, and has one.
    """
    config = self._config()
    if self.workdir is not None:
      print(terminal.printable(secrets.text(self._origin())))
    return config

  def describe(self) -> str:
    """Returns the tree of the config, and the names of the other configs."""
    run = self._run()
    title = str(run) if run else self.value or self.named.title
    return config_help.describe(self._config(), self.named, title)

  def _run(self) -> pathlib.Path | None:
    """Returns the directory of the run whose config is used, if there is one.
    """
    folder = self.workdir and flags.FLAGS[self.workdir].value
    if self.value is not None or not folder:
      return None
    return pathlib.Path(folder) if named_lib.is_run(folder) else None

  def _config(self) -> Any:
    changes, names = self.given()
    run = self._run()
    config = overrides.override(
        self.named.of_run(run) if run else self.named.load(self.value),
        changes, self.named.cls, names=names,
        tell=lambda sentence: print(sentence, file=sys.stderr))
    if run or self.value and named_lib.is_saved(self.value):
      _refuse_redacted(config, changes, run or self.value)
    return user_paths.expanded(config)

  def given(self) -> tuple[dict[str, str], dict[str, str]]:
    """Returns {path: text} of all changes, and {path: its flag} of shorthands.
    """
    changes, names = dict(self.changes), {}
    for flag, path in self.short.items():
      if flags.FLAGS[flag].value is not None:
        changes[path], names[path] = flags.FLAGS[flag].value, f'--{flag}'
    return changes, names

  def _origin(self) -> str:
    """Returns a line that names the config and its changes."""
    changes = [f'{path}={text}' for path, text in self.given()[0].items()]
    run = self._run()
    name = (f'saved in {run}, which holds a run' if run
            else self.value or self.named.title)
    return f'config: {name}' + (f'; {" ".join(changes)}' if changes else '')


def _refuse_redacted(
    config: Any, changes: Mapping[str, str], origin: Any) -> None:
  """Raises InputError if a config lacks a secret that its run did not save."""
  for field, value in config_lib.leaves(config_lib.to_dict(config)).items():
    given = any(f'{field}.'.startswith(f'{path}.') for path in changes)
    if secrets.HIDDEN in str(value) and not given:
      raise errors.InputError(
          f'config.{field} is {value!r} in {origin}, because a run does not '
          f'save secrets; give it again: --config.{field}=...')


F = TypeVar('F', bound=ConfigFlag)


def _is_value(arg: str) -> bool:
  return not arg.startswith('-') or re.fullmatch(r'-[\d.].*', arg) is not None


def define(named: named_lib.Named, short: Mapping[str, str],
           workdir: str | None = None, cls: type[F] = ConfigFlag) -> F:
  """Defines --config and its shorthand flags; see `ConfigFlag`."""
  for flag, path in short.items():
    flags.DEFINE_string(flag, None, f'Short for --config.{path}.')
  flag = cls(named, short, workdir)
  flags.DEFINE_flag(flag)
  return flag


def defined() -> ConfigFlag | None:
  """Returns the script's flag --config, or None if it has none."""
  flag = flags.FLAGS[_NAME] if _NAME in flags.FLAGS else None
  return flag if isinstance(flag, ConfigFlag) else None
