"""Paths for libraries that misread some characters.

Orbax searches for a folder's files with a pattern that begins with the folder's
own path, so that in 'lr=[1,2]' it finds none, and takes 'gs:' for a bucket.
TensorStore takes a backslash for a slash. Neither they nor JAX's profiler
accept bytes that are not UTF-8.
"""
from collections.abc import Iterator
import contextlib
import pathlib
import re
import tempfile

from lmjax.core import errors

_PLAIN = re.compile(r'[\w./ +,=@~-]*')


@contextlib.contextmanager
def path(folder: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields a path to a folder that has no special characters.

  It is the folder's own path or, inside the block, a symbolic link to it in a
  new temporary folder. The folder should exist.

  Raises:
    InputError: If there is no room for the link.
  """
  if _PLAIN.fullmatch(str(folder)):
    yield folder
    return
  with contextlib.ExitStack() as stack:
    try:
      link = pathlib.Path(stack.enter_context(
          tempfile.TemporaryDirectory(prefix='lmjax-')), 'link')
      link.symlink_to(folder.absolute())
    except OSError as error:
      raise errors.InputError(
          f'{folder} has characters in its name that some libraries misread, '
          f'and a link to it cannot be made ({error}). Set TMPDIR to a folder '
          'that can be written to, or use another --workdir.'
      ) from error
    yield link
