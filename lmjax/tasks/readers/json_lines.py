"""Labelled text in JSON lines."""
from collections.abc import Iterator
import dataclasses

from lmjax.core.files import user_paths
from lmjax.data.text import files
from lmjax.data.text import json_lines
from lmjax.tasks.readers import columns
from lmjax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
class JsonLines:
  """JSON lines: each line is an object with the text and the label as fields.

  Attributes:
    paths: Files and globs.
    text: The fields with the text; several are joined by a space.
    second: The fields with the other text, if examples are pairs.
    label: The field with the label; None if there is none.
    rename: New names of labels: ('0=negative', '1=positive').
  """
  paths: tuple[user_paths.Path, ...]
  text: tuple[str, ...] = ('text',)
  label: str | None = 'label'
  rename: tuple[str, ...] = ()
  second: tuple[str, ...] = ()

  def examples(self) -> Iterator[task_lib.Example]:
    """Yields the examples, line by line."""
    name_of = columns.renamed(self.rename)
    for path in files.expand(self.paths):
      for where, row in json_lines.rows(path):
        label = None if self.label is None else name_of(
            str(json_lines.value(row, self.label, where)))
        texts = {field: json_lines.text(row, field, where)
                 for field in (*self.text, *self.second)}
        yield columns.example(
            texts, self.text, self.second, label, where)
