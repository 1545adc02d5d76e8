"""Tagged words as two texts: words, and tags, with spaces between."""
from collections.abc import Iterator
import dataclasses

from lmjax.tasks.readers import labelled
from lmjax.tasks import sentences


@dataclasses.dataclass(frozen=True)
class Spaced:
  """Any reader of labelled text whose label is a tag for each word.

  Attributes:
    reader: Its texts are words and its labels tags, with spaces between, or
      JSON lists of them.
  """
  reader: labelled.Reader

  def examples(self) -> Iterator[sentences.Sentence]:
    """Yields the sentences.

    Raises:
      InputError: If there are not as many tags as words, or one is no tag.
    """
    for example in self.reader.examples():
      yield sentences.sentence(example.texts, example.where, example.label)
