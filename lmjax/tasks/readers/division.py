"""Divides examples into three splits that share no text."""
import collections
from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any

from lmjax.core import errors
from lmjax.data.text import splits as splits_lib


@dataclasses.dataclass(frozen=True)
class Divided:
  """Examples by split.

  Attributes:
    train: The training examples.
    valid: The validation examples.
    test: The test examples.
    dropped: The training examples that were dropped.
    notes: Sentences for the report that help to interpret the results.
  """
  train: Sequence[Any]
  valid: Sequence[Any]
  test: Sequence[Any]
  dropped: Sequence[Any] = ()
  notes: tuple[str, ...] = ()


def collect(examples: Callable[..., Sequence[Any]], source: Any
            ) -> tuple[dict[str, Sequence[Any] | None], tuple[str, ...]]:
  """Reads the splits of a source with a reader for each, or None.

  Args:
    examples: Function of the split's name, its reader and a counter, which
      returns the examples. The counter receives the numbers of repaired and
      skipped lines.
    source: Has the readers as `train`, `valid` and `test`.

  Returns:
    The examples by split, and notes on lines that were repaired or skipped.
  """
  given, notes = {}, []
  for name in splits_lib.NAMES:
    reader, counts = getattr(source, name), collections.Counter()
    given[name] = reader and examples(name, reader, counts)
    notes += [f'{name} split: {number:,} {what}.'
              for what, number in sorted(counts.items())]
  return given, tuple(notes)


def divide(given: Mapping[str, Sequence[Any] | None], *, held_out: float,
           drop_shared: bool, notes: Sequence[str] = ()) -> Divided:
  """Returns examples by split; see `labelled.Labelled`.

  Args:
    given: The examples of 'train', 'valid' and 'test', which have a field
      `texts`. If a split is None, some of 'train' are held out for it.
    held_out: The expected fraction of 'train' that is held out for each split
      that is None. A hash of the texts determines the split of an example, so
      copies stay together.
    drop_shared: Whether training examples whose texts are also in another split
      are dropped. A note has their number in both cases.
    notes: Notes on the examples, which come first in the result's.

  Raises:
    InputError: If a split is empty.
  """
  cut = splits_lib.HashSplit(**{
      name: held_out if given[name] is None else 0.0
      for name in ('valid', 'test')})
  parts = collections.defaultdict(list)
  for example in given['train']:
    parts[cut.name_of('\n'.join(example.texts))].append(example)
  for name in ('valid', 'test'):
    if given[name] is not None:
      parts[name] = given[name]
  for name in splits_lib.NAMES:
    if not parts[name]:
      raise errors.InputError(
          f'The {name} split is empty: {len(given["train"])} examples are too '
          f'few to hold out {held_out} of them; raise source.held_out, or give '
          f'files for it: source.{name}.paths=...')
  held = {example.texts
          for name in ('valid', 'test') for example in parts[name]}
  shared = [e for e in parts['train'] if e.texts in held]
  notes = tuple(notes)
  if shared:
    what = 'were dropped' if drop_shared else 'stay in training'
    notes += (
        f'{len(shared)} training examples whose text is also in the validation '
        f'or test split {what}.',)
  dropped = shared if drop_shared else []
  train = [e for e in parts['train'] if not dropped or e.texts not in held]
  return Divided(train, parts['valid'], parts['test'], dropped, notes)
