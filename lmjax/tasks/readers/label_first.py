"""Lines that begin with their label."""
import collections
from collections.abc import Iterator
import dataclasses

from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.data.text import files
from lmjax.tasks.readers import columns
from lmjax.tasks import task as task_lib

_MAX_LINE_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class LabelFirst:
  """Lines that begin with their label and a space: `1 a fine film`.

  Attributes:
    paths: Files and globs.
    rename: New names of labels: ('0=negative', '1=positive').
  """
  paths: tuple[user_paths.Path, ...]
  rename: tuple[str, ...] = ()

  def examples(self) -> Iterator[task_lib.Example]:
    """Yields the examples, line by line, except blank lines."""
    name_of = columns.renamed(self.rename)
    for path in files.expand(self.paths):
      for number, line in files.lines(
          path, 'fail', _MAX_LINE_BYTES, collections.Counter()):
        if not line.strip():
          continue
        label, space, text = line.partition(' ')
        if not space:
          raise errors.InputError(
              f'{path}:{number}: should be a label, a space and a text; got '
              f'{line[:40]!r}.')
        yield task_lib.Example(text, name_of(label), f'{path}:{number}')
