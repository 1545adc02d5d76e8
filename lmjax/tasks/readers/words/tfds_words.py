"""Tagged words from TensorFlow Datasets (TFDS)."""
import collections
from collections.abc import Iterator
import dataclasses
from typing import Any

from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.data.text import tfds
from lmjax.tasks.readers.texts import tfds as texts_tfds
from lmjax.tasks.taggers import sentences


@dataclasses.dataclass(frozen=True)
class TfdsWords:
  """A split of a TFDS data set of words with tags, such as 'conll2003'.

  Attributes:
    name: The name of the data set in TFDS.
    split: A split or a slice of a split.
    words: The feature with the sequence of words.
    tags: The feature with the sequence of tags, which have names, such as
      'ner', 'pos' or 'chunks' of 'conll2003'.
    data_dir: The directory of prepared data; None means TFDS's default.
  """
  name: str
  split: str = 'train'
  words: str = 'tokens'
  tags: str = 'ner'
  data_dir: user_paths.Path | None = None

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[sentences.Sentence]:
    """Yields the sentences in TFDS's order, except those without words.

    Raises:
      InputError: If a feature is missing or no sequence, tags have no names, or
        the numbers of words and tags differ.
    """
    del counts  # No line is repaired or skipped.
    for sentence, _ in self.labelled():
      yield sentence

  def labelled(self, label: str | None = None
               ) -> Iterator[tuple[sentences.Sentence, str | None]]:
    """Yields the sentences, each with its label.

    Args:
      label: The feature with the label; None yields None in its place.

    Raises:
      InputError: See `examples`.
    """
    reader = tfds.Tfds(self.name, self.split, self.words, self.data_dir)
    names = reader.label_names(self.tags)
    if names is None:
      raise errors.InputError(
          f'Feature {self.tags!r} of {self.name} is no sequence of tags with '
          'names; give another one: tags=...')
    classes = None if label is None else reader.label_names(label)
    fields = self.words, self.tags, *(() if label is None else (label,))
    for number, row in enumerate(reader.rows(fields)):
      where = f'{self.name} ({self.split}), row {number}'
      words = tuple(_text(word, where) for word in row[self.words])
      if words:
        sentence = sentences.tagged(
            words, [names[int(tag)] for tag in row[self.tags]], where)
        yield sentence, None if label is None else texts_tfds.named(
            row[label], classes, where)


def _text(word: Any, where: str) -> str:
  """Returns a word, which TFDS stores as bytes, as text."""
  try:
    return word if isinstance(word, str) else word.decode('utf-8')
  except (AttributeError, UnicodeDecodeError) as error:
    raise errors.InputError(
        f'{where}: {word!r:.60} should be a word in UTF-8; give the feature '
        'with words: words=...') from error
