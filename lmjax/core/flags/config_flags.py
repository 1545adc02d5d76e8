"""Flags of a command line that choose and change a config.

  --config=NAME            the config: see `named`
  --config.a.kind=Name     another part, with its own defaults
  --config.a.b=value       a field; also `--config.a.b value`
  --config.a.b, --noconfig.a.b    a field that is true or false

In any order; they may come from a --flagfile. Of a flag that is given twice the
last one counts.
"""
from collections.abc import Mapping, Sequence
import re
import sys
from typing import Any

from absl import flags

from lmjax.core.flags import config_help
from lmjax.core.flags import named as named_lib
from lmjax.core.flags import overrides

flags.disclaim_key_flags()  # They are the script's, as --help shows them.

_NAME = 'config'
_FIELD = re.compile(rf'--?{_NAME}\.([^=]+)(?:=(.*))?', re.DOTALL)
_FALSE = re.compile(rf'--?no{_NAME}\.([^=]+)')


class ConfigFlag(flags.Flag):
  """The flag --config, with the changes of fields that stand beside it.

  Attributes:
    named: The configs that it can name.
    short: {name of a flag: path of the field that it is short for}.
    changes: {path: text} of the fields that the command line sets.
  """

  def __init__(self, named: named_lib.Named, short: Mapping[str, str]):
    super().__init__(
        flags.ArgumentParser(), None, _NAME, None,
        'The config: a name, a Python file, a run directory or its '
        'config.json; see below.')
    self.named, self.short = named, dict(short)
    self.changes: dict[str, str] = {}

  def take(self, args: Sequence[str]) -> list[str]:
    """Keeps the changes among the arguments; returns the other arguments."""
    rest, args = [], list(args)
    while args:
      arg = args.pop(0)
      if arg == '--':
        return rest + [arg, *args]
      if found := _FALSE.fullmatch(arg):
        self.changes[found[1]] = 'false'
      elif found := _FIELD.fullmatch(arg):
        path, value = found.groups()
        if value is None:  # The next argument is it, or else it is true.
          value = args.pop(0) if args and _is_value(args[0]) else 'true'
        self.changes[path] = value
      else:
        rest.append(arg)
    return rest

  def config(self) -> Any:
    """Returns the config as the flags say; prints which parts were replaced.

    Raises:
      InputError: If they name a config, kind or field that is not there, or
        give a value that it cannot have.
    """
    changes, names = dict(self.changes), {}
    for flag, path in self.short.items():
      if flags.FLAGS[flag].value is not None:
        changes[path], names[path] = flags.FLAGS[flag].value, f'--{flag}'
    return overrides.override(
        self.named.load(self.value), changes, self.named.cls, names=names,
        tell=lambda sentence: print(sentence, file=sys.stderr))

  def describe(self) -> str:
    """Returns the tree of the config, and the names of the other configs."""
    return config_help.describe(
        self.config(), self.named, self.value or self.named.title)


def _is_value(arg: str) -> bool:
  return not arg.startswith('-') or re.fullmatch(r'-[\d.].*', arg) is not None


def define(named: named_lib.Named, short: Mapping[str, str]) -> ConfigFlag:
  """Defines --config and the flags that are short for a field of it."""
  for flag, path in short.items():
    flags.DEFINE_string(flag, None, f'Short for --config.{path}.')
  flag = ConfigFlag(named, short)
  flags.DEFINE_flag(flag)
  return flag


def defined() -> ConfigFlag | None:
  """Returns the flag --config of this script, if it has one."""
  flag = flags.FLAGS[_NAME] if _NAME in flags.FLAGS else None
  return flag if isinstance(flag, ConfigFlag) else None
