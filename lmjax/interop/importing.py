"""Imports a model: from an opened source to a config and parameters."""
from collections.abc import Callable, Collection, Mapping, Sequence, Set
import dataclasses
import os
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core import layouts
from lmjax.core import trees
from lmjax.interop import checkpoint as checkpoint_lib
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.interop.mapping import rows as rows_lib
from lmjax.models import cost
from lmjax.models import model as model_lib

Place = Callable[[str, np.ndarray], Any]


@dataclasses.dataclass(frozen=True)
class Imported:
  """An imported model.

  Attributes:
    source: What it was read from.
    family: Its family.
    config: Its lmjax config.
    params: Its parameters, in the looped layout.
    match: Which tensors hold which parameters, and which hold none.
  """
  source: checkpoint_lib.Checkpoint
  family: family_lib.Family
  config: model_lib.ModelConfig
  params: Any
  match: rows_lib.Match

  @property
  def model(self) -> Any:
    """The module."""
    return self.config.build()


def load(path: str | os.PathLike[str], place: Place | None = None,
         ignore: Sequence[str] = (), accept: Collection[str] = ()
         ) -> Imported:
  """Imports a model from a folder or file of any known format.

  Args:
    path: See `checkpoint.open_source`.
    place: See `convert`.
    ignore: See `convert`.
    accept: See `convert`.

  Raises:
    InputError: If the files are damaged, the family is not known, or anything
      in config or tensors is not accounted for.
  """
  return convert(checkpoint_lib.open_source(path), place, ignore, accept)


def convert(source: checkpoint_lib.Checkpoint, place: Place | None = None,
            ignore: Sequence[str] = (), accept: Collection[str] = ()
            ) -> Imported:
  """Returns the model in an opened source.

  All names and shapes are checked before the first tensor is read. Tensors are
  then read and placed one by one, so that the host holds few at a time.

  Args:
    source: The opened source.
    place: Function from a path and a float32 array to the array to keep, such
      as one that is divided over devices; by default it is put on the default
      device.
    ignore: Patterns of names of tensors to leave out, such as those of a
      classifier; they match whole names.
    accept: Fields of the config to leave out if lmjax does not know them, or
      would refuse them because of the code that they name.

  Raises:
    InputError: If the family is not known, or anything in config or tensors is
      not accounted for.
  """
  family = named(source.config, source.tensors.keys())
  names = {name for name in source.tensors if not any(
      re.fullmatch(pattern, name) for pattern in ignore)}
  config = family.config(source.config, names, accept)
  match = rows_lib.matched(
      family.named(config, names), _shapes(config), source.tensors,
      ignored=(*family.ignored, *ignore), **_known(family, names))
  place = place or (lambda path, array: jnp.asarray(array))
  leaves = {}
  for path, array in rows_lib.read(match, source.tensors):
    # Transfers keep the host's array until they are done.
    leaves[path] = jax.block_until_ready(place(path, array))
    del array  # Else it would be kept while the next one is read.
  params = trees.nested(leaves.items())
  return Imported(source, family, config, params, match)


def named(config: Mapping[str, Any], names: Set[str] = frozenset()
          ) -> family_lib.Family:
  """Returns the family of a config.json.

  The oldest files do not say their family in `model_type`; it is then the only
  one whose prefix tensors have.

  Args:
    config: The config.
    names: The names of the tensors in the file.

  Raises:
    InputError: If it is not known.
  """
  kind = config.get('model_type')
  if kind is None:
    found = {family.name: family for family in families.FAMILIES.values()
             if family.base and any(
                 name.startswith(family.base) for name in names)}
    if len(found) == 1:
      return next(iter(found.values()))
  if kind not in families.FAMILIES:
    raise errors.InputError(
        f'config.json: model_type is {kind!r}; the families that are read are '
        f'{", ".join(sorted(families.FAMILIES))}.'
        f'{config_lib.near(str(kind), families.FAMILIES)}')
  return families.FAMILIES[kind]


def _shapes(config: model_lib.ModelConfig) -> Any:
  """Returns arrays of the parameters' shapes that take no memory, looped.

  A scan of layers is traced in a fraction of the time of a loop.
  """
  if any(field.name == 'scan' for field in dataclasses.fields(config)):
    config = dataclasses.replace(config, scan=True)
  return layouts.looped(jax.tree.map(
      lambda leaf: np.broadcast_to(np.float32(0), leaf.shape),
      cost.shapes(config)))


def _known(family, names):
  """Returns the copies and constants of a family, by their names in a file."""
  found = family.spelling(names)
  return {'copies': {found(copy): found(original)
                     for copy, original in family.copies.items()},
          'constants': {found(name): constant
                        for name, constant in family.constants.items()}}
