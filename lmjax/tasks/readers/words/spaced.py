"""Tagged words as two texts: words, and tags, separated by spaces."""
import collections
from collections.abc import Iterator
import dataclasses

from lmjax.tasks.readers.texts import labelled
from lmjax.tasks.taggers import sentences


@dataclasses.dataclass(frozen=True)
class Spaced:
  """Any reader of labelled text whose label is a tag for each word.

  Attributes:
    reader: The reader; its texts are words and its labels are tags, separated
      by spaces or in JSON lists.
  """
  reader: labelled.Reader

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[sentences.Sentence]:
    """Yields the sentences.

    Args:
      counts: Receives the numbers of repaired and skipped lines.

    Raises:
      InputError: If the numbers of tags and words differ.
    """
    for example in self.reader.examples(counts):
      yield sentences.sentence(example.texts, example.where, example.label)
