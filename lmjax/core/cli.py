"""How a script starts and how it tells a user what went wrong."""
import _thread
from collections.abc import Callable, Iterator, Sequence
import contextlib
import functools
import logging
import sys
import threading
import traceback
from typing import Any, TextIO, TypeVar

from absl import app
from absl import flags
from absl import logging as absl_logging

from lmjax.core import allocator
from lmjax.core import atomic
from lmjax.core import config
from lmjax.core import errors
from lmjax.core import secrets
from lmjax.core import terminal

T = TypeVar('T')


def run(main: Callable[[Sequence[str]], None]) -> None:
  """Parses the flags and runs `main`.

  A user's mistake (an `InputError`, an unknown flag or config field) ends the
  process with one sentence and exit code 2, a run that cannot go on (a
  `RunError`) with 1; a bug of ours shows its traceback.
  """
  allocator.keep_pages()
  # Backends that are absent are no news to somebody who has none of them.
  logging.getLogger('jax._src.xla_bridge').setLevel(logging.WARNING)
  sys.excepthook = lambda *error: print(
      told(''.join(traceback.format_exception(*error))), file=sys.stderr)
  sys.unraisablehook = _unraisable
  app.run(_told(main), flags_parser=_parse)


def _unraisable(found):
  """Interrupts again where Python would lose the interrupt.

  What is raised while it collects garbage, where JAX has a callback, can reach
  nobody: of a Ctrl-C at that moment nothing would come.
  """
  if isinstance(found.exc_value, KeyboardInterrupt):
    again = threading.Timer(0.05, _thread.interrupt_main)
    again.daemon = True
    again.start()
  else:
    sys.__unraisablehook__(found)


def config_flag(cls: type[T], default: Any, **shorthands: str
                ) -> Callable[[], T]:
  """Defines --config; returns what reads the frozen config, once flags are.

  Args:
    cls: The config's dataclass.
    default: Path of the config file to take, or a config.
    **shorthands: Flags that set a field: parallel='training.parallel' makes
      --parallel short for --config.training.parallel.
  """
  short = {field: flags.DEFINE_string(
      name, None, f'Short for --config.{field}.')
           for name, field in shorthands.items()}
  try:
    holder = config.define_flag(default)
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    _fail(_unknown_field(error))

  def read() -> T:
    try:
      tree = holder.value
      getattr(tree, 'kind')  # Only now the file is read.
    except OSError as error:
      named = [a for a in sys.argv if a.startswith('--config=')] or [default]
      raise errors.InputError(
          f'{named[-1]} cannot be read: {_last_line(error)}.') from error
    for field, flag in short.items():
      if flag.value is not None:
        tree.update_from_flattened_dict({field: _typed(tree, field, flag)})
    return config.freeze(cls, tree)
  return read


def _typed(tree: Any, field: str, flag: flags.FlagHolder) -> Any:
  """Returns a flag's text as the type of the field that it is short for."""
  before = functools.reduce(getattr, field.split('.'), tree)
  if not isinstance(before, int):
    return flag.value
  try:
    return int(flag.value)
  except ValueError:
    raise errors.InputError(
        f'--{flag.name} should be a whole number; got {flag.value!r}.'
    ) from None


def _unknown_field(error: Exception) -> str:
  """Returns what ml_collections says of a flag, and of which flag it is."""
  while error.args and isinstance(error.args[0], Exception):
    error = error.args[0]  # They wrap one in another.
  name, _, hint = str(error.args[0]).partition('\n')
  name = name.strip('\'"')
  flag = next((a.partition('=')[0] for a in sys.argv[1:]
               if name in a.partition('=')[0].split('.')), name)
  return f'{flag}: there is no field {name!r}. {hint}'.strip()


def _last_line(error: Exception) -> str:
  return str(error).strip().splitlines()[-1].strip()


def _parse(argv: Sequence[str]) -> list[str]:
  try:
    return flags.FLAGS(list(argv))
  except flags.Error as error:  # Of a config file with all its traceback.
    _fail(_last_line(error).partition('Error: ')[2] or error
          if 'Traceback' in str(error) else error)
  except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
    _fail(error)


def _told(main):
  def run_it(argv):
    if len(argv) > 1:
      _fail(f'Arguments are given as --flag=value; got {argv[1:]}.')
    if not flags.FLAGS['verbosity'].present:
      absl_logging.set_verbosity(absl_logging.WARNING)
    try:
      main(argv)
    except (errors.InputError, errors.RunError, KeyboardInterrupt) as error:
      sys.exit(tell(error))
  return run_it


def tell(error: BaseException) -> int:
  """Tells a user what ends a script; returns its exit code."""
  if isinstance(error, errors.InputError | errors.RunError | KeyboardInterrupt):
    _print(sentence(error))
    return _code(error)
  sys.excepthook(type(error), error, error.__traceback__)
  return 1


def _code(error):
  if isinstance(error, errors.InputError):
    return 2
  return 130 if isinstance(error, KeyboardInterrupt) else 1


def sentence(error: BaseException) -> str:
  """Returns what ends a script, in a sentence."""
  if isinstance(error, KeyboardInterrupt):
    return 'interrupted.'
  return str(error) or type(error).__name__


def told(message: str) -> str:
  """Returns a message as it may be printed: without secrets and controls."""
  return terminal.printable(secrets.text(message))


def _fail(error) -> None:
  _print(error.args[0] if getattr(error, 'args', None) else error)
  sys.exit(2)


def _print(text):
  if '--traceback' in sys.argv:
    print(told(traceback.format_exc()), file=sys.stderr)
  print(f'Error: {told(str(text))}', file=sys.stderr)


flags.DEFINE_bool('traceback', False, 'Show the traceback of a user error too.')


@contextlib.contextmanager
def writing(path: str | None) -> Iterator[TextIO]:
  """Gives a file that appears under `path` once all is written, or stdout.

  Raises:
    InputError: If it cannot be written.
  """
  if path is None:
    yield sys.stdout
    return
  try:
    with atomic.opened(path) as file:
      yield file
  except OSError as error:
    raise errors.InputError(f'--out={path} cannot be written: {error}.')
