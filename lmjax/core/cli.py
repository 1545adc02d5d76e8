"""The start of every script, and its messages about a user's mistakes."""
import _thread
from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import logging
import os
import pathlib
import re
import select
import signal
import sys
import tempfile
import threading
import traceback
from typing import Any, IO, Literal, TypeVar

from absl import app
from absl import flags
from absl import logging as absl_logging

from lmjax.core import allocator
from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core.files import durable
from lmjax.core.files import user_paths
from lmjax.core.flags import config_flags
from lmjax.core.flags import named as named_lib
from lmjax.core.flags import sweep_flags
from lmjax.core import secrets
from lmjax.core import terminal

T = TypeVar('T')
_UNREAD = 128 + 13  # A shell's exit code for a command ended by SIGPIPE.
_HELP = ('--help', '-help', '-h', '--helpshort', '-helpshort')


def run(main: Callable[[Sequence[str]], None],
        arguments: bool = False) -> None:
  """Parses the flags and runs `main`.

  A user's mistake (an `InputError`, an unknown flag or config field) ends the
  process with one sentence and exit code 2. A run that cannot continue (a
  `RunError`) ends it with one sentence and exit code 1. Other exceptions are
  bugs of lmjax and show their traceback.

  Args:
    main: The script; receives `sys.argv` without the flags.
    arguments: Whether there may be arguments that are no flags, as in
      `compare.py runs/a runs/b --out=x`.
  """
  flags.FLAGS.set_gnu_getopt(arguments)
  allocator.keep_pages()
  terminal.escape_unencodable(sys.stdout, sys.stderr)
  # A machine without a GPU or TPU needs no warning about their backends.
  logging.getLogger('jax._src.xla_bridge').setLevel(logging.WARNING)
  sys.excepthook = lambda *error: print(
      told(''.join(traceback.format_exception(*error))), file=sys.stderr)
  sys.unraisablehook = _unraisable
  flags.declare_key_flag('traceback')  # For --help.
  script = sys.modules['__main__']
  script.__doc__ = _commands(script.__doc__, sys.argv[0])
  app.run(_told(main, arguments), flags_parser=_parse)


def _commands(doc: str | None, script: str) -> str | None:
  """Returns the docstring of a script with the commands that run it.

  An installed lmjax has no folder `experiments`, only the command `lmjax`.
  """
  installed = pathlib.Path(__file__).parents[1] / 'experiments'
  if doc is None or pathlib.Path(script).parent != installed:
    return doc
  return re.sub(r'python experiments/(\w+)\.py', r'lmjax \1', doc)


def _unraisable(found):
  """Repeats a signal that Python would otherwise lose.

  JAX registers a callback with the garbage collector. Python prints exceptions
  that are raised in it but does not propagate them, so a Ctrl-C or a SIGTERM at
  that moment would have no effect.
  """
  error = found.exc_value
  if isinstance(error, (KeyboardInterrupt, errors.Stopped)):
    again = threading.Timer(0.05, _thread.interrupt_main, [
        error.signal if isinstance(error, errors.Stopped) else signal.SIGINT])
    again.daemon = True
    again.start()
  else:
    sys.__unraisablehook__(found)


def config_flag(
    cls: type[T], default: Any, presets: Mapping[str, Any] | None = None,
    workdir: str | None = None, **shorthands: str) -> Callable[[], T]:
  """Defines --config; returns a function that reads the config from flags.

  Call the returned function after the flags have been parsed.

  Args:
    cls: The config's dataclass, or a union of several.
    default: The config to use without --config, or the path of its file. The
      other files in that folder can be given to --config by name.
    presets: Configs of models, by name, for --config=preset:NAME.
    workdir: The flag with the directory of a run. If it holds a run, the run's
      saved config is the default, so that the directory alone continues it.
    **shorthands: Flags that set a field: parallel='training.parallel' makes
      --parallel short for --config.training.parallel.
  """
  return config_flags.define(
      _named(cls, default, presets), shorthands, workdir).config


def sweep_flag(
    cls: Any, default: Any, presets: Mapping[str, Any] | None = None,
    **shorthands: str) -> sweep_flags.SweepFlag:
  """Defines --config and --sweep.PATH; see `config_flag` for the arguments."""
  return config_flags.define(
      _named(cls, default, presets), shorthands, cls=sweep_flags.SweepFlag)


def _named(cls, default, presets):
  """Returns the configs that --config accepts by name."""
  if not dataclasses.is_dataclass(default):
    default = pathlib.Path(default)
  return named_lib.Named(cls, default, presets or {})


def path_flag(name: str, default: str | None, help: str, **options: Any
              ) -> flags.FlagHolder:
  """Defines a flag whose value is a path, in which `~` is expanded.

  Args:
    name: The flag.
    default: Its default, or None.
    help: Its documentation.
    **options: Passed to `flags.DEFINE`, such as `required`.
  """
  return flags.DEFINE(_PathParser(), name, default, help, **options)


class _PathParser(flags.ArgumentParser):
  """Parses a path; see `user_paths`."""
  syntactic_help = 'a path'

  def parse(self, argument):
    return user_paths.expand(argument)


def _parse(argv: Sequence[str]) -> list[str]:
  """Parses all flags, including the config's, and handles --help."""
  try:
    script, *args = argv
    args = flags.FLAGS.read_flags_from_files(args, force_gnu=True)
    if (config := config_flags.defined()) is None:
      return flags.FLAGS([script, *args])
    args = config.take(args)
    asked = [arg for arg in args if arg in _HELP]
    if asked:
      _show_help(config, [arg for arg in args if arg not in _HELP])
    return flags.FLAGS([script, *args])
  except (flags.Error, errors.InputError) as error:
    _fail(error)


def _show_help(config: config_flags.ConfigFlag, args: Sequence[str]) -> None:
  """Prints the script's flags and its config's tree, then exits."""
  with contextlib.suppress(flags.Error):  # A required flag may be missing.
    flags.FLAGS([sys.argv[0], *args])
  with _closed_early():
    app.usage(shorthelp=True, writeto_stdout=True)
    print(told(config.describe()))
  sys.exit(0)


def _told(main, arguments):
  def run_it(argv):
    if len(argv) > 1 and not arguments:
      _fail(f'Arguments are given as --flag=value; got {argv[1:]}.')
    if not flags.FLAGS['verbosity'].present:
      absl_logging.set_verbosity(absl_logging.WARNING)
    try:
      with _closed_early():
        main(argv)
    except (errors.InputError, errors.RunError, KeyboardInterrupt) as error:
      sys.exit(tell(error))
  return run_it


@contextlib.contextmanager
def _closed_early() -> Iterator[None]:
  """Ends the process quietly if the reader of its output has ended."""
  try:
    yield
    sys.stdout.flush()
  except BrokenPipeError:
    if not _unread():  # Another pipe or connection.
      raise
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(_UNREAD)


def _unread() -> bool:
  """Returns whether the reader of standard output has ended, as `head` does."""
  poll = select.poll()
  poll.register(sys.stdout.fileno(), 0)  # Errors are polled for in any case.
  return bool(poll.poll(0))


def tell(error: BaseException) -> int:
  """Prints why a script ends; returns its exit code."""
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
  """Returns a sentence with the reason why a script ends."""
  if isinstance(error, KeyboardInterrupt):
    return 'interrupted.'
  return str(error) or type(error).__name__


def told(message: str) -> str:
  """Returns a message with secrets hidden and control characters removed."""
  return terminal.printable(secrets.text(message))


def _fail(error) -> None:
  _print(error.args[0] if getattr(error, 'args', None) else error)
  sys.exit(2)


def _print(text):
  if '--traceback' in sys.argv:
    print(told(traceback.format_exc()), file=sys.stderr)
  print(f'Error: {told(str(text))}', file=sys.stderr)


flags.DEFINE_bool('traceback', False, 'Show the traceback of a user error too.')
flags.disclaim_key_flags()  # --help lists `config_flag` under the script.


def results_folder(path: str | os.PathLike[str]) -> pathlib.Path:
  """Returns the folder of --out, which is created if it does not exist.

  Raises:
    InputError: If it cannot be written to, so that nothing is computed in vain.
  """
  try:
    durable.make_folder(path)
    with tempfile.TemporaryFile(dir=path):
      pass
  except OSError as error:
    raise errors.InputError(
        f'Results cannot be written to {os.fspath(path)}: {error}. Choose '
        'another folder with --out.') from error
  return pathlib.Path(path)


@contextlib.contextmanager
def writing(
    path: str | None, mode: Literal['w', 'wb'] = 'w') -> Iterator[IO]:
  """Yields a file that appears under `path` when the block ends, or stdout.

  A pipe or a device is written immediately. If `path` is a link, the file that
  it leads to is replaced.

  Args:
    path: The file's path, the value of --out; None stands for stdout.
    mode: 'w' for text, which is written as UTF-8, or 'wb' for bytes.

  Raises:
    InputError: If the file cannot be written.
  """
  if path is None:
    yield sys.stdout if mode == 'w' else sys.stdout.buffer
    return
  real = os.path.realpath(path)
  whole = os.path.isfile(real) or not os.path.exists(path)
  try:
    with atomic.opened(real, mode) if whole else open(
        path, mode, encoding='utf-8' if mode == 'w' else None) as file:
      yield file
  except OSError as error:
    raise errors.InputError(f'--out={path} cannot be written: {error}.')
