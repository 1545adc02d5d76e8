"""A TensorFlow Datasets builder that turns any source into a data set.

Importing this module registers the data set `text_corpus` with TFDS. No other
module imports it, so TFDS is only loaded to prepare data.
"""
from collections.abc import Iterator, Mapping
import dataclasses
import pathlib
from typing import Any

import tensorflow_datasets

from lmjax.core import errors
from lmjax.data import documents

_VERSION = '1.0.0'


@dataclasses.dataclass(eq=False)
class TextCorpusConfig(tensorflow_datasets.core.BuilderConfig):
  """The config of one corpus that `TextCorpus` prepares.

  Attributes:
    splits: The source of each split, by the split's name.
  """
  splits: Mapping[str, documents.Source] = dataclasses.field(
      default_factory=dict)


class TextCorpus(tensorflow_datasets.core.GeneratorBasedBuilder):
  """Documents of sources as rows {'text': ...}, in the order of the source."""
  VERSION = tensorflow_datasets.core.Version(_VERSION)
  RELEASE_NOTES = {_VERSION: 'One row a document.'}

  def _info(self) -> tensorflow_datasets.core.DatasetInfo:
    return tensorflow_datasets.core.DatasetInfo(
        builder=self,
        description='Text documents, prepared by lmjax from local sources.',
        features=tensorflow_datasets.features.FeaturesDict(
            {'text': tensorflow_datasets.features.Text()}),
        disable_shuffling=True)  # Keeps the source's order; readers shuffle.

  def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
    del dl_manager  # Nothing is downloaded.
    return {name: self._generate_examples(source)
            for name, source in self.builder_config.splits.items()}

  def _generate_examples(
      self, source: documents.Source) -> Iterator[tuple[int, dict[str, str]]]:
    for number, text in enumerate(source.documents()):
      yield number, {'text': text}


def prepare(name: str, splits: Mapping[str, documents.Source],
            data_dir: str | pathlib.Path) -> str:
  """Writes sources as a prepared TFDS data set, in array_record files.

  Any TFDS reader can read it: `Tfds(returned name, data_dir=...)`, which does
  not need TensorFlow, or `tfds.load`.

  Args:
    name: Name of the corpus.
    splits: The source of each split: {'train': TextFiles(('a.txt',))}.
    data_dir: The folder of TFDS data to add it to.

  Returns:
    The data set's name in TFDS: 'text_corpus/<name>'.

  Raises:
    InputError: If a corpus of this name exists, or a source has no text.
  """
  builder = TextCorpus(
      config=TextCorpusConfig(name=name, splits=splits), data_dir=data_dir)
  full_name = f'{builder.name}/{name}'
  if builder.is_prepared():
    raise errors.InputError(
        f'{full_name} is already prepared in {str(data_dir)!r}; choose another '
        'name, or delete it.')
  builder.download_and_prepare(file_format='array_record')
  return full_name
