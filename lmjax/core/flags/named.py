"""The configs that --config= accepts by name: files, model presets and runs."""
from collections.abc import Iterator, Mapping
import dataclasses
import importlib.util
import inspect
import os
import pathlib
import sys
import traceback
from typing import Any

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.files import strict_json
from lmjax.core.files import user_paths

_PRESET = 'preset:'
_SAVED = 'config.json'  # The name of a config in a run directory.


@dataclasses.dataclass(frozen=True)
class Named:
  """The configs that a script accepts by name.

  Attributes:
    cls: The dataclass, or union of dataclasses, that the script accepts.
    default: The default config, or the path of its file. The other files in
      that folder are accepted by name.
    presets: Model configs by name; each can replace the default's model.
  """
  cls: Any
  default: pathlib.Path | Any
  presets: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def title(self) -> str:
    """The name of the default config."""
    if isinstance(self.default, pathlib.Path):
      return self.default.stem
    return type(self.default).__name__

  def load(self, name: str | None = None) -> Any:
    """Returns the config with a name, or the default.

    Args:
      name: The name of a file beside the default, `preset:NAME`, a Python file
        with a `get_config()` that returns a config, a run directory, or its
        config.json. A config file may hold several configs: `file.py:name`
        calls `get_config(name)`.

    Raises:
      InputError: If there is no such config, it cannot be read, or the script
        does not accept its class.
    """
    if name is None and not isinstance(self.default, pathlib.Path):
      return self._checked(self.default, 'the default')
    if name is None:
      return self._of_file(self.default)
    if name.startswith(_PRESET):
      return self._of_preset(name.removeprefix(_PRESET))
    name = user_paths.expand(name, '--config')
    stem, _, inner = name.partition(':')
    if stem in self.files():
      return self._of_file(self.files()[stem], inner or None)
    path = pathlib.Path(name)
    if is_saved(path):
      return self.of_run(path)
    file, colon, inner = name.rpartition(':')
    if colon and file.endswith('.py'):
      return self._of_file(pathlib.Path(file), inner)
    if path.suffix == '.py':
      return self._of_file(path)
    known = [*self.files(), *(_PRESET + preset for preset in self.presets)]
    raise errors.InputError(
        f'--config={name} is not a config, file or run directory.'
        f'{config_lib.near(name, known)} --help lists the configs.')

  def files(self) -> dict[str, pathlib.Path]:
    """Returns the config files that are accepted by name."""
    if not isinstance(self.default, pathlib.Path):
      return {}
    return {path.stem: path
            for path in sorted(self.default.parent.glob('*.py'))}

  def fitting(self) -> Iterator[str]:
    """Yields the names of the files whose config the script accepts."""
    for name, path in self.files().items():
      try:
        self._of_file(path)
      except errors.InputError:
        continue
      yield name

  def _of_preset(self, name: str) -> Any:
    if name not in self.presets:
      raise errors.InputError(
          f'--config={_PRESET}{name}: there is no preset {name!r}; choose from '
          f'{sorted(self.presets)}.{config_lib.near(name, self.presets)}')
    config, model = self.load(), self.presets[name]
    return self._checked(
        dataclasses.replace(config, model=model), f'{_PRESET}{name}')

  def of_run(self, path: pathlib.Path) -> Any:
    """Returns the config of a run.

    Args:
      path: The run directory, or its config.json.

    Raises:
      InputError: If it cannot be read, or the script does not accept its class.
    """
    path = path / _SAVED if path.is_dir() else path
    try:
      tree = strict_json.read(path)
    except (OSError, ValueError) as error:
      raise errors.InputError(
          f'{path} cannot be read as JSON: {error}.') from error
    return self._checked(tree, str(path))

  def _of_file(self, path: pathlib.Path, name: str | None = None) -> Any:
    made = _executed(path, name)
    if not dataclasses.is_dataclass(made):
      raise errors.InputError(
          f'get_config() of {path} should return {self._wanted()}; got '
          f'{type(made).__name__}.')
    return self._checked(made, str(path))

  def _checked(self, tree: Any, whose: str) -> Any:
    """Returns a config with every value checked against its type."""
    kind = (tree.get('kind') if isinstance(tree, dict)
            else type(tree).__name__)
    if kind not in config_lib.kinds(self.cls):
      raise errors.InputError(
          f'{whose} holds {kind}, but this script takes {self._wanted()}.')
    return config_lib.freeze(self.cls, tree)

  def _wanted(self) -> str:
    return ' or '.join(config_lib.kinds(self.cls))


def is_run(folder: str | os.PathLike[str]) -> bool:
  """Returns whether a folder is a run directory."""
  return os.path.isfile(os.path.join(folder, _SAVED))


def is_saved(path: str | os.PathLike[str]) -> bool:
  """Returns whether a path is a run directory, or the config.json of one."""
  return is_run(path) or (
      os.path.isfile(path) and os.fspath(path).endswith('.json'))


def _executed(path: pathlib.Path, name: str | None) -> Any:
  """Returns the result of a file's `get_config()`, or of `get_config(name)`.

  Raises:
    InputError: If the file cannot be read, has no such function, or fails; then
      the message has the line.
  """
  if not path.is_file():
    raise errors.InputError(
        f'--config={path} cannot be read: there is no such file.')
  module_name = f'config_file_{path.stem}'
  spec = importlib.util.spec_from_file_location(module_name, path.absolute())
  module = importlib.util.module_from_spec(spec)
  sys.modules[module_name] = module  # Where dataclasses look for their hints.
  try:
    spec.loader.exec_module(module)
    function = vars(module).get('get_config')
    if not callable(function):
      raise errors.InputError(
          f'{path} should define get_config(), which returns the config.')
    arguments = () if name is None else (name,)
    try:
      inspect.signature(function).bind(*arguments)
    except TypeError as error:
      how = 'takes no name' if arguments else f'needs a name: {path}:NAME'
      raise errors.InputError(f'get_config of {path} {how}.') from error
    return function(*arguments)
  except errors.InputError:
    raise
  except Exception as error:  # The user's code may raise any exception.
    raise errors.InputError(
        f'{path}:{_line(error, path)}: {type(error).__name__}: {error}'
    ) from error


def _line(error: Exception, path: pathlib.Path) -> int | str:
  """Returns the last line of the file in an error's traceback."""
  file = str(path.absolute())
  if isinstance(error, SyntaxError) and error.filename == file:
    return error.lineno
  lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
           if frame.filename == file]
  return lines[-1] if lines else '?'
