"""Labelled text: files, TFDS or lists as examples, and examples as splits."""
import collections
from collections.abc import Callable, Iterator
import dataclasses

from lmjax.core import config
from lmjax.core import errors
from lmjax.core import strict_json
from lmjax.data.text import files
from lmjax.data.text import splits
from lmjax.data.text import tables
from lmjax.data.text import tfds
from lmjax.tasks import task as task_lib

Example = task_lib.Example
_MAX_LINE_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class Delimited:
  """CSV or TSV files.

  Attributes:
    paths: Files and globs.
    text: The columns with the text, by name or by number from 0; several are
      joined by a space.
    label: The column with the label.
    delimiter: What separates columns.
    header: Whether the first row names the columns.
    quoted: Whether `"` quotes values.
    rename: What labels are called here: ('0=negative', '1=positive').
  """
  paths: tuple[str, ...]
  text: tuple[str, ...] = ('text',)
  label: str = 'label'
  delimiter: str = ','
  header: bool = True
  quoted: bool = True
  rename: tuple[str, ...] = ()

  def examples(self) -> Iterator[Example]:
    names = _names(self.rename)
    for path in files.expand(self.paths):
      for where, (*texts, label) in tables.columns(
          path, [*self.text, self.label], delimiter=self.delimiter,
          header=self.header, quoted=self.quoted):
        yield Example(' '.join(texts), names(label), where)


@dataclasses.dataclass(frozen=True)
class JsonLines:
  """JSON lines: an object a line with the text and its label as fields."""
  paths: tuple[str, ...]
  text: tuple[str, ...] = ('text',)
  label: str = 'label'
  rename: tuple[str, ...] = ()

  def examples(self) -> Iterator[Example]:
    names = _names(self.rename)
    for path, number, line in _lines(self.paths):
      where = f'{path}:{number}'
      try:
        row = strict_json.loads(line, lenient=True)
      except ValueError as error:
        raise errors.InputError(f'{where}: not JSON ({error}).') from None
      if not isinstance(row, dict):
        raise errors.InputError(
            f'{where}: should be a JSON object; got {type(row).__name__}.')
      for field in (*self.text, self.label):
        if field not in row:
          raise errors.InputError(
              f'{where}: no field {field!r} among {sorted(row)[:20]}.'
              f'{config.near(field, row)}')
      for field in self.text:
        if not isinstance(row[field], str):
          raise errors.InputError(
              f'{where}: field {field!r} should be a string; got '
              f'{type(row[field]).__name__}.')
      yield Example(' '.join(row[field] for field in self.text),
                    names(str(row[self.label])), where)


@dataclasses.dataclass(frozen=True)
class LabelFirst:
  """Lines that begin with their label and a space: `1 a fine film`."""
  paths: tuple[str, ...]
  rename: tuple[str, ...] = ()

  def examples(self) -> Iterator[Example]:
    names = _names(self.rename)
    for path, number, line in _lines(self.paths):
      label, space, text = line.partition(' ')
      if not space:
        raise errors.InputError(
            f'{path}:{number}: should be a label, a space and a text; got '
            f'{line[:40]!r}.')
      yield Example(text, names(label), f'{path}:{number}')


@dataclasses.dataclass(frozen=True)
class Tfds:
  """A split of a TensorFlow data set, such as 'glue/sst2'.

  Attributes:
    name: As TFDS names it.
    split: A split or a slice of one.
    text: The features with the text; several are joined by a space.
    label: The feature with the label.
    data_dir: Where prepared data are; TFDS's own default if None.
  """
  name: str
  split: str = 'train'
  text: tuple[str, ...] = ('text',)
  label: str = 'label'
  data_dir: str | None = None

  def examples(self) -> Iterator[Example]:
    reader = tfds.Tfds(self.name, self.split, self.text[0], self.data_dir)
    names = reader.label_names(self.label)
    for number, row in enumerate(reader.rows((*self.text, self.label))):
      where = f'{self.name} ({self.split}), row {number}'
      label = row[self.label]
      if names is not None and not 0 <= label < len(names):
        raise errors.InputError(
            f'{where}: label {label} is none of {names}; this split has no '
            'labels, so use another one.')
      yield Example(
          ' '.join(str(row[field]) for field in self.text),
          str(label) if names is None else names[label], where)


@dataclasses.dataclass(frozen=True)
class InMemory:
  """Pairs (text, label) at hand, for notebooks and tests."""
  pairs: tuple[tuple[str, str], ...]

  def examples(self) -> Iterator[Example]:
    for number, (text, label) in enumerate(self.pairs):
      yield Example(text, str(label), f'example {number}')


Reader = Delimited | JsonLines | LabelFirst | Tfds | InMemory


@dataclasses.dataclass(frozen=True)
class Labelled:
  """The three splits of a task, each from a reader of its own.

  Whitespace around texts and labels is dropped.

  Attributes:
    train: The training examples.
    test: The test examples; None holds some of `train` out.
    valid: The examples for early stopping; None holds some of `train` out.
    held_out: The expected share of `train` for each split held out. A hash of
      the text says where an example goes, so copies stay together.
    drop_shared: Whether training examples whose text is also in another split
      are dropped; either way they are counted.
  """
  train: Reader
  test: Reader | None = None
  valid: Reader | None = None
  held_out: float = 0.1
  drop_shared: bool = True

  def read(self) -> task_lib.Splits:
    """Returns the splits.

    Raises:
      InputError: If a file or split is empty, malformed or lacks a column, or
        if a label occurs that training does not show.
    """
    train = self._examples('train', self.train)
    cut = splits.HashSplit(
        valid=0.0 if self.valid else self.held_out,
        test=0.0 if self.test else self.held_out)
    parts = collections.defaultdict(list)
    for example in train:
      parts[cut.name_of(example.text)].append(example)
    for name, reader in (('valid', self.valid), ('test', self.test)):
      if reader is not None:
        parts[name] = self._examples(name, reader)
    for name in splits.NAMES:
      if not parts[name]:
        raise errors.InputError(
            f'The {name} split is empty: {len(train)} examples are too few to '
            f'hold out {self.held_out} of them; give a reader for it.')
    labels = label_names(example.label for example in parts['train'])
    for name in ('valid', 'test'):
      check_labels(name, parts[name], labels)
    held = {example.text
            for name in ('valid', 'test') for example in parts[name]}
    kept = [e for e in parts['train'] if e.text not in held]
    shared, notes = len(parts['train']) - len(kept), []
    if shared:
      what = 'were dropped' if self.drop_shared else 'stay in training'
      notes.append(
          f'{shared} training examples whose text is also in the validation or '
          f'test split {what}.')
    if self.drop_shared:
      parts['train'] = kept
    return task_lib.Splits(
        parts['train'], parts['valid'], parts['test'], labels, tuple(notes))

  def _examples(self, name: str, reader: Reader) -> list[Example]:
    found = []
    for text, label, where in reader.examples():
      if not text.strip():
        raise errors.InputError(f'{where}: the text is empty; remove the row.')
      if not label:
        raise errors.InputError(f'{where}: the label is empty; remove the row.')
      found.append(Example(text.strip(), label, where))
    if not found:
      raise errors.InputError(f'The {name} split, {reader}, has no example.')
    return found


def label_names(labels: Iterator[str]) -> tuple[str, ...]:
  """Returns the distinct labels, numbers by value and names by alphabet."""
  found = set(labels)
  if all(label.isdecimal() for label in found):
    return tuple(sorted(found, key=int))
  return tuple(sorted(found))


def check_labels(split: str, examples: list[Example],
                 labels: tuple[str, ...]) -> None:
  """Refuses a label that training does not show."""
  known = set(labels)
  for example in examples:
    if example.label not in known:
      raise errors.InputError(
          f'{example.where}: label {example.label!r} of the {split} split '
          f'never occurs in training, whose labels are {list(labels)}; use '
          'rename if it is one of them.')


def _names(rename: tuple[str, ...]) -> Callable[[str], str]:
  """Returns what gives a label, as written, the name it has here."""
  names = {}
  for pair in rename:
    old, equals, new = pair.partition('=')
    if not equals:
      raise errors.InputError(
          f"rename should hold pairs such as '1=positive'; got {pair!r}.")
    names[old] = new
  return lambda label: names.get(label.strip(), label.strip())


def _lines(paths: tuple[str, ...]) -> Iterator[tuple[str, int, str]]:
  """Yields (path, line number, line) of the lines that are not blank."""
  for path in files.expand(paths):
    for number, line in files.lines(
        path, 'fail', _MAX_LINE_BYTES, collections.Counter()):
      if line.strip():
        yield path, number, line
