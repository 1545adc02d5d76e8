"""How a script starts and how it tells a user what went wrong."""
from collections.abc import Callable, Sequence
import logging
import sys
import traceback

from absl import app
from absl import flags
from absl import logging as absl_logging

from lmjax.core import allocator
from lmjax.core import errors


def run(main: Callable[[Sequence[str]], None]) -> None:
  """Parses the flags and runs `main`.

  A user's mistake (an `InputError`, an unknown flag or config field) ends the
  process with one sentence and exit code 2; a bug of ours shows its traceback.
  """
  allocator.keep_pages()
  flags.FLAGS.set_default('verbosity', absl_logging.WARNING)
  # Backends that are absent are no news to somebody who has none of them.
  logging.getLogger('jax._src.xla_bridge').setLevel(logging.WARNING)
  app.run(_told(main), flags_parser=_parse)


def _parse(argv: Sequence[str]) -> list[str]:
  try:
    return app.parse_flags_with_usage(list(argv))
  except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
    _fail(error)


def _told(main):
  def told(argv):
    if len(argv) > 1:
      _fail(f'Arguments are given as --flag=value; got {argv[1:]}.')
    try:
      main(argv)
    except errors.InputError as error:
      _fail(error)
  return told


def _fail(error) -> None:
  if '--traceback' in sys.argv:
    traceback.print_exc()
  text = error.args[0] if getattr(error, 'args', None) else error
  print(f'Error: {text}', file=sys.stderr)
  sys.exit(2)


def set_by_user() -> list[str]:
  """Returns the config fields that this command line sets, as it names them."""
  return [arg.partition('=')[0].lstrip('-') for arg in sys.argv[1:]
          if arg.lstrip('-').startswith('config.')]


flags.DEFINE_bool('traceback', False, 'Show the traceback of a user error too.')
