"""Labelled text in JSON lines."""
import collections
from collections.abc import Iterator
import dataclasses
from typing import ClassVar

from lmjax.core.files import user_paths
from lmjax.data.text import encodings
from lmjax.data.text import files
from lmjax.data.text import json_lines
from lmjax.tasks.readers.texts import columns
from lmjax.tasks.readers.texts import labels
from lmjax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
class JsonLines:
  """JSON lines: each line is an object with the text and the label as fields.

  Attributes:
    paths: Files and globs.
    text: The fields with the text; several are joined by a space.
    second: The fields with the other text, if examples are pairs.
    label: The field with the label, which is text, a number, or true or false;
      None if there is none.
    rename: New names of labels: ('0=negative', '1=positive').
    encoding: The encoding of the text, such as 'latin-1' or 'utf-16'.
    on_bad_text: How to handle bytes that are not in this encoding: 'fail',
      'replace' them by U+FFFD, or 'skip' their lines.
  """
  paths: tuple[user_paths.Path, ...]
  text: tuple[str, ...] = ('text',)
  label: str | None = 'label'
  rename: tuple[str, ...] = ()
  second: tuple[str, ...] = ()
  encoding: str = 'utf-8'
  on_bad_text: files.OnBadText = 'fail'

  endings: ClassVar = json_lines.ENDINGS  # Files that are read by this kind.

  def __post_init__(self):
    columns.settle(self)
    encodings.check(self.encoding)

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[task_lib.Example]:
    """Yields the examples, line by line.

    Args:
      counts: Receives the numbers of repaired and skipped lines.
    """
    name_of = labels.named(self.rename)
    for path in files.expand(self.paths):
      for where, row in json_lines.rows(
          path, self.on_bad_text, counts, self.encoding):
        label = None if self.label is None else name_of(
            json_lines.value(row, self.label, where), where)
        texts = {field: json_lines.text(row, field, where)
                 for field in (*self.text, *self.second)}
        yield columns.example(
            texts, self.text, self.second, label, where)
