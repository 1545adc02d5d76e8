"""TensorFlow Datasets as a source, without TensorFlow if possible."""
import collections
from collections.abc import Iterator, Sequence
import dataclasses
import pathlib
from typing import Any

from lmjax.core import config
from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.data import documents
from lmjax.data.text import files

_ROWS = 1024  # Rows read at a time, ten times faster than one by one.
_EXTRA = "pip install 'lmjax[tensorflow]'"


@dataclasses.dataclass(frozen=True)
class Tfds(documents.Source):
  """A data set of TensorFlow Datasets; a document is a text field of a row.

  Data sets prepared as array_record are read without TensorFlow; a data set
  that is not prepared is prepared as array_record if its builder allows it.
  Other data sets are read by `tfds.load`, which needs TensorFlow, an extra of
  this package.

  Attributes:
    name: Name in TFDS: 'lm1b', 'wikipedia/20230601.en', 'glue/sst2'.
    split: A split or a slice of one: 'train', 'train[:10%]', 'test'.
    field: The feature that holds the text.
    data_dir: Folder of prepared data; None takes the default of TFDS.
  """
  name: str
  split: str = 'train'
  field: str = 'text'
  data_dir: user_paths.Path | None = None

  def fingerprint(self) -> dict[str, Any]:
    info = self._builder().info
    return {'name': info.full_name, 'split': self.split, 'field': self.field,
            'sizes': {name: [split.num_examples, split.num_bytes]
                      for name, split in sorted(info.splits.items())},
            'files': files.fingerprint(self._files(info))}

  def contents(self) -> dict[str, str]:
    return files.contents(self._files(self._builder().info))

  def _files(self, info: Any) -> list[str]:
    """Returns all files of the split, even if only a slice of it is read."""
    self._check(info, (self.field,))
    split = info.splits[self.split.partition('[')[0]]
    return [str(path) for path in split.filepaths]

  def _read(self, counts: collections.Counter) -> Iterator[str]:
    del counts
    return (row[self.field] for row in self.rows((self.field,)))

  def rows(self, fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yields the rows of the split with some of their features, text as str."""
    builder = self._builder()
    self._check(builder.info, fields)
    for number, row in enumerate(self._rows(builder)):
      try:
        yield {field: _text(row[field]) for field in fields}
      except UnicodeDecodeError as error:
        raise errors.InputError(
            f'{self.name} ({self.split}), row {number}: invalid UTF-8 at byte '
            f'{error.start} of one of {list(fields)}.') from None

  def label_names(self, field: str) -> list[str] | None:
    """Returns the names of a feature's numbers, or None if they have none."""
    info = self._builder().info
    self._check(info, (field,))
    return getattr(info.features[field], 'names', None)

  def check_prepared(self) -> None:
    """Raises InputError if the data would have to be downloaded first."""
    if not self._builder(download=False).is_prepared():
      raise errors.InputError(
          f'{self.name!r} is not prepared in '
          f'{self.data_dir or "the default data_dir"}, and --dry_run downloads '
          'nothing; a run without it does.')

  def _builder(self, download: bool = True) -> Any:
    import tensorflow_datasets
    try:
      builder = tensorflow_datasets.builder(self.name, data_dir=self.data_dir)
      if download and not builder.is_prepared():
        builder.download_and_prepare(file_format='array_record')
      return builder
    except (tensorflow_datasets.core.DatasetNotFoundError, ValueError):
      where = self.data_dir or 'the default data_dir'
      raise errors.InputError(
          f'TFDS has no data set {self.name!r}, and none is prepared in '
          f'{where}.{config.near(self.name, _known())}') from None
    except ImportError as error:
      raise errors.InputError(
          f'Preparing {self.name!r} needs TensorFlow ({error}): {_EXTRA}.'
      ) from None
    except OSError as error:
      raise errors.InputError(
          f'{self.name!r} is not prepared in data_dir={self.data_dir!r} and '
          f'cannot be downloaded: {error}.') from None

  def _rows(self, builder: Any) -> Iterator[dict[str, Any]]:
    """Yields the rows of the split, from array_record files or TensorFlow."""
    if 'array_record' not in _formats(builder):
      yield from self._load()
      return
    try:
      rows = builder.as_data_source(split=self.split)
      for start in range(0, len(rows), _ROWS):
        part = rows.__getitems__(
            list(range(start, min(start + _ROWS, len(rows)))))
        # A truncated file may yield rows whose features are all None.
        if any(all(v is None for v in row.values()) for row in part):
          raise ValueError(f'a row after the first {start:,} is missing')
        yield from part
    except (OSError, RuntimeError, ValueError) as error:
      split = builder.info.splits[self.split.partition('[')[0]]
      reason = _damage(split.filepaths, split.shard_lengths) or error
      raise errors.InputError(
          f'{self.name}, split {self.split!r}, cannot be read from '
          f'{str(builder.data_path)!r}: {reason}.') from None

  def _load(self) -> Iterator[dict[str, Any]]:
    import tensorflow_datasets
    try:
      import tensorflow as tf
      tf.config.set_visible_devices([], 'GPU')  # Leaves the GPU to JAX.
    except ImportError:
      raise errors.InputError(
          f'{self.name!r} is prepared in a format that only TensorFlow reads: '
          f"{_EXTRA}, or prepare it again with file_format='array_record'."
      ) from None
    rows = tensorflow_datasets.load(
        self.name, split=self.split, data_dir=self.data_dir)
    return iter(tensorflow_datasets.as_numpy(rows))

  def _check(self, info: Any, fields: Sequence[str]) -> None:
    split = self.split.partition('[')[0]
    if split not in info.splits:
      raise errors.InputError(
          f'{self.name} has no split {split!r} among {sorted(info.splits)}.'
          f'{config.near(split, info.splits)}')
    for field in fields:
      if field not in info.features:
        raise errors.InputError(
            f'{self.name} has no field {field!r} among '
            f'{sorted(info.features)}; set field.'
            f'{config.near(field, info.features)}')


def _damage(paths: Sequence[Any], lengths: Sequence[int]) -> str | None:
  """Returns a sentence on the first damaged array_record file, or None."""
  from array_record.python import array_record_module
  for path, length in zip(map(pathlib.Path, paths), lengths):
    if not path.exists():
      return f'{path.name} is missing'
    where = f'{path.name} ({path.stat().st_size:,} bytes)'
    reader = array_record_module.ArrayRecordReader(str(path))
    found = reader.num_records()
    if not reader.ok() or found != length:
      return (f'{where} is truncated or damaged: {found} of its {length} '
              'records can be found. Copy it again')
    try:
      for start in range(0, length, _ROWS):
        reader.read(list(range(start, min(start + _ROWS, length))))
    except (RuntimeError, ValueError) as error:
      return f'{where} is damaged: {error}. Copy it again'
  return None


def _text(value: Any) -> Any:
  """Returns bytes decoded as UTF-8, and any other value unchanged."""
  return value.decode('utf-8') if isinstance(value, bytes) else value


def _formats(builder: Any) -> list[str]:
  """Returns the file formats in which the data set is prepared."""
  info = builder.info
  formats = [info.file_format, *info.alternative_file_formats]
  return [one.value for one in formats if one is not None]


def _known() -> list[str]:
  """Returns the names of all data sets in TFDS, for a suggestion."""
  from tensorflow_datasets.core import registered
  return registered.list_imported_builders()
