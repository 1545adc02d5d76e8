"""Lines that begin with their label."""
import collections
from collections.abc import Iterator
import dataclasses
from typing import Literal

from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.data.text import encodings
from lmjax.data.text import files
from lmjax.tasks.readers.texts import labels
from lmjax.tasks.readers.texts import lines
from lmjax.tasks import task as task_lib

_MAX_LINE_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class LabelFirst:
  """Lines that begin with their label and a space or tab: `1 a fine film`.

  Attributes:
    paths: Files and globs.
    rename: New names of labels: ('0=negative', '1=positive').
    texts: Number of texts after the label: 1, or 2 that are separated by a tab.
    encoding: The encoding of the text, such as 'latin-1' or 'utf-16'.
    on_bad_text: How to handle bytes that are not in this encoding: 'fail',
      'replace' them by U+FFFD, or 'skip' their lines.
  """
  paths: tuple[user_paths.Path, ...]
  rename: tuple[str, ...] = ()
  texts: Literal[1, 2] = 1
  encoding: str = 'utf-8'
  on_bad_text: files.OnBadText = 'fail'

  def __post_init__(self):
    encodings.check(self.encoding)

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[task_lib.Example]:
    """Yields the examples, line by line, except blank lines.

    Args:
      counts: Receives the numbers of repaired and skipped lines.
    """
    name_of = labels.named(self.rename)
    counts = collections.Counter() if counts is None else counts
    for path in files.expand(self.paths):
      for number, line in files.lines(
          path, self.on_bad_text, _MAX_LINE_BYTES, counts, self.encoding):
        if not line.strip():
          continue
        label, *text = line.split(maxsplit=1)
        where = f'{path}:{number}'
        if not text:
          raise errors.InputError(
              f'{where}: should be a label, a space and a text; got '
              f'{line[:40]!r}.')
        example = lines.example(text[0], self.texts, where)
        yield example._replace(label=name_of(label, where))
