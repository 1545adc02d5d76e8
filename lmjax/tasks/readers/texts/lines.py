"""Texts without labels, one per line."""
import collections
from collections.abc import Iterator
import dataclasses
from typing import Literal

from lmjax.core import errors
from lmjax.data.text import encodings
from lmjax.data.text import files
from lmjax.tasks import task as task_lib

_MAX_LINE_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class Lines:
  """Lines of text; a blank line is an example with an empty text.

  Attributes:
    paths: Files and globs.
    texts: Number of texts per example: 1, or 2 that are separated by a tab.
    encoding: The encoding of the text, such as 'latin-1' or 'utf-16'.
    on_bad_text: How to handle bytes that are not in this encoding: 'fail', or
      'replace' them by U+FFFD.
  """
  paths: tuple[str, ...]
  texts: int = 1
  encoding: str = 'utf-8'
  on_bad_text: Literal['fail', 'replace'] = 'fail'

  def __post_init__(self):
    encodings.check(self.encoding)

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[task_lib.Example]:
    """Yields the examples, line by line.

    Args:
      counts: Receives the number of repaired lines.
    """
    counts = collections.Counter() if counts is None else counts
    for path in files.expand(self.paths):
      for number, line in files.lines(
          path, self.on_bad_text, _MAX_LINE_BYTES, counts, self.encoding):
        yield example(line, self.texts, f'{path}:{number}')


def example(line: str, texts: int, where: str) -> task_lib.Example:
  """Returns the example of a line.

  Args:
    line: A text, or several texts that are separated by tabs.
    texts: The expected number of texts.
    where: The place of the line, for messages.

  Raises:
    InputError: If the line has a different number of texts.
  """
  if not line.strip():
    return task_lib.Example('', None, where, *[''] * (texts - 1))
  parts = [line] if texts == 1 else line.split('\t')
  if len(parts) != texts:
    raise errors.InputError(
        f'{where} should hold {texts} texts, separated by a tab, for a task on '
        f'pairs; got {len(parts)}: {line[:40]!r}.')
  return task_lib.example(parts, where)
