"""Divides examples into three splits that share no text."""
import collections
from collections.abc import Iterable, Mapping, Sequence
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


def divide(given: Mapping[str, Sequence[Any] | None], *, held_out: float,
           drop_shared: bool) -> Divided:
  """Returns examples by split; see `labelled.Labelled`.

  Args:
    given: The examples of 'train', 'valid' and 'test', which have a field
      `texts`. If a split is None, some of 'train' are held out for it.
    held_out: The expected fraction of 'train' that is held out for each split
      that is None. A hash of the texts determines the split of an example, so
      copies stay together.
    drop_shared: Whether training examples whose texts are also in another split
      are dropped. A note has their number in both cases.

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
          f'few to hold out {held_out} of them; give a reader for it.')
  held = {example.texts
          for name in ('valid', 'test') for example in parts[name]}
  shared = [e for e in parts['train'] if e.texts in held]
  notes = ()
  if shared:
    what = 'were dropped' if drop_shared else 'stay in training'
    notes = (
        f'{len(shared)} training examples whose text is also in the validation '
        f'or test split {what}.',)
  dropped = shared if drop_shared else []
  train = [e for e in parts['train'] if not dropped or e.texts not in held]
  return Divided(train, parts['valid'], parts['test'], dropped, notes)


def label_names(labels: Iterable[str]) -> tuple[str, ...]:
  """Returns the distinct labels, sorted: numbers by value, names by letters."""
  found = set(labels)
  if all(label.isdecimal() for label in found):
    return tuple(sorted(found, key=int))
  return tuple(sorted(found))
