"""Utterances from TensorFlow Datasets (TFDS): words, their tags, an intent."""
import collections
from collections.abc import Iterator
import dataclasses

from lmjax.core.files import user_paths
from lmjax.tasks.readers.words import tfds_words
from lmjax.tasks.taggers import sentences


@dataclasses.dataclass(frozen=True)
class TfdsUtterances:
  """A split of a TFDS data set of words with tags, where each text has a label.

  Attributes:
    name: The name of the data set in TFDS.
    split: A split or a slice of a split.
    words: The feature with the sequence of words.
    tags: The feature with the sequence of tags, which have names.
    label: The feature with the intent, a name or a class.
    data_dir: The directory of prepared data; None means TFDS's default.
  """
  name: str
  split: str = 'train'
  words: str = 'tokens'
  tags: str = 'tags'
  label: str = 'intent'
  data_dir: user_paths.Path | None = None

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[sentences.Utterance]:
    """Yields the utterances in TFDS's order, except those without words.

    Raises:
      InputError: If a feature is missing or of another type, tags have no
        names, or the numbers of words and tags differ.
    """
    del counts  # No line is repaired or skipped.
    reader = tfds_words.TfdsWords(
        self.name, self.split, self.words, self.tags, self.data_dir)
    for sentence, label in reader.labelled(self.label):
      yield sentences.Utterance(*sentence, label)
