"""Atomic writing of text files: a reader sees the whole file or none of it."""
from collections.abc import Iterator
import contextlib
import os
from typing import TextIO


def write(path: str | os.PathLike[str], text: str) -> None:
  """Writes `text` to `path` atomically."""
  with opened(path) as file:
    file.write(text)


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[TextIO]:
  """Opens a text file that appears under `path` when the block ends.

  Until then `path` is unchanged; if the block raises, it stays unchanged.
  """
  temporary = f'{os.fspath(path)}.tmp'
  try:
    with open(temporary, 'w', encoding='utf-8') as file:
      yield file
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
  except BaseException:
    with contextlib.suppress(OSError):
      os.remove(temporary)
    raise
