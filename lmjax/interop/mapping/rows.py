"""Rows of a table: which tensors of a file hold which parameters of a model.

A family lists rows for everything that any of its members can have. `matched`
keeps those whose parameters the model at hand has, and then every tensor of the
file has to belong to a row or be ignorable, and every parameter has to come
from the file. Rows are read in both directions, so that an export is the import
reversed.

A family may have several rows for the same parameters, for files that name or
divide them in different ways. The first one whose tensors the file has is read,
and the first one is written.
"""
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
import dataclasses
import functools
import re
from typing import Any

import jax
import numpy as np

from lmjax.core import errors
from lmjax.core import trees
from lmjax.interop.formats import mapped
from lmjax.interop.formats import tensors as tensors_lib
from lmjax.interop.mapping import arrays
from lmjax.interop.mapping import grouping
from lmjax.interop.mapping import operations as operations_lib


Constant = Callable[[tuple[int, ...]], np.ndarray]
_CLOSE = 1e-4  # Constants may have been computed in float32 or stored in half.


@dataclasses.dataclass(frozen=True)
class Row:
  """Parameters of a model, and the tensors of a file that hold them.

  Attributes:
    paths: The paths of the parameters, such as 'layer_0/mlp/in/kernel'.
    names: The names of the tensors.
    operations: What is done to the tensors, in order, to get the parameters.
  """
  paths: tuple[str, ...]
  names: tuple[str, ...]
  operations: tuple[operations_lib.Operation, ...] = ()

  def shapes(self, shapes: Sequence[tuple[int, ...]]
             ) -> tuple[tuple[int, ...], ...]:
    """Returns the shapes of parameters for the shapes of tensors."""
    return _shapes(self.operations, tuple(shapes), forward=True)

  def file_shapes(self, shapes: Sequence[tuple[int, ...]]
                  ) -> tuple[tuple[int, ...], ...]:
    """Returns the shapes of tensors for the shapes of parameters."""
    return _shapes(self.operations, tuple(shapes), forward=False)


def row(paths: str | Sequence[str], names: str | Sequence[str],
        *operations: operations_lib.Operation) -> Row:
  """Returns a row; a single path or name needs no tuple."""
  return Row(_tuple(paths), _tuple(names), operations)


def dense(path: str, name: str,
          *operations: operations_lib.Operation) -> list[Row]:
  """Returns the rows of a dense layer and PyTorch's `Linear`.

  Args:
    path: The path of the layer, which has `kernel` and perhaps `bias`.
    name: The name of the module, which has `weight` and perhaps `bias`.
    *operations: What is done first to the weight and to the bias, whose first
      axis are the outputs.
  """
  return [row(f'{path}/kernel', f'{name}.weight', *operations,
              operations_lib.Transpose()),
          row(f'{path}/bias', f'{name}.bias', *operations)]


def fused(paths: Sequence[str], name: str, split: operations_lib.Operation
          ) -> list[Row]:
  """Returns the rows of dense layers whose outputs are those of one `Linear`.

  Args:
    paths: The paths of the layers, such as query, key and value.
    name: The name of the module.
    split: What takes its outputs apart.
  """
  return [row([f'{path}/kernel' for path in paths], f'{name}.weight', split,
              operations_lib.Transpose()),
          row([f'{path}/bias' for path in paths], f'{name}.bias', split)]


def norm(path: str, name: str) -> list[Row]:
  """Returns the rows of a norm: its scale, and perhaps a bias."""
  return [row(f'{path}/scale', f'{name}.weight'),
          row(f'{path}/bias', f'{name}.bias')]


def each(count: int, path: str, name: str, rows: Iterable[Row]) -> list[Row]:
  """Returns rows once for each layer.

  Args:
    count: The number of layers.
    path: The path before each row's paths; '{i}' is the number of the layer.
    name: The name before each row's names, likewise.
    rows: The rows of one layer.

  Example:
    >>> [found.names for found in each(
    ...     2, 'layer_{i}/', 'h.{i}.', norm('norm', 'ln_1'))[::2]]
    [('h.0.ln_1.weight',), ('h.1.ln_1.weight',)]
  """
  rows = list(rows)
  return [Row(tuple(path.format(i=i) + each for each in found.paths),
              tuple(name.format(i=i) + each for each in found.names),
              found.operations) for i in range(count) for found in rows]


@dataclasses.dataclass(frozen=True)
class Match:
  """The rows of a model that a file fills completely.

  Attributes:
    rows: The rows.
    ignored: The names of tensors that hold no parameter, such as masks.
    copies: Tensors that repeat another one because a model is tied, as pairs of
      names (copy, original).
  """
  rows: tuple[Row, ...]
  ignored: tuple[str, ...]
  copies: tuple[tuple[str, str], ...]


def matched(
    rows: Iterable[Row], params: Any, tensors: tensors_lib.Tensors, *,
    ignored: Sequence[str] = (), copies: Mapping[str, str] | None = None,
    constants: Mapping[str, Constant] | None = None) -> Match:
  """Matches the tensors of a file with the parameters of a model.

  Args:
    rows: The rows of the family.
    params: The model's parameters or their shapes, in the looped layout.
    tensors: The tensors of the file.
    ignored: Patterns of names of tensors that hold no parameter, which match
      whole names.
    copies: Names of tensors that may be there although the model is tied, each
      with the name of the tensor that it should be equal to.
    constants: Names of tensors that may be there although their values are
      known, each with the function from its shape to these values.

  Raises:
    InputError: If a tensor is unknown, missing or has a wrong shape; if a copy
      differs from its original, or a constant from what it should be.
  """
  shapes = {path: tuple(leaf.shape) for path, leaf in trees.items(params)}
  kept = _chosen(rows, shapes.keys(), tensors.keys())
  _check_covered(kept, shapes)
  wanted = {name for found in kept for name in found.names}
  twins = set(copies or {})
  copies = {copy: original for copy, original in (copies or {}).items()
            if copy not in wanted and {copy, original} <= tensors.keys()}
  missing = wanted - tensors.keys()
  extra = tensors.keys() - wanted - copies.keys()
  useless = {name for name in extra if name in (constants or {}) or any(
      re.fullmatch(pattern, name) for pattern in ignored)}
  problems = [
      f'{what}: {", ".join(grouping.grouped(names))}' for what, names in (
          ('missing', missing), ('unknown', extra - useless)) if names]
  if problems:
    raise errors.InputError(
        'The tensors of the file should be those of the model that its config '
        f'describes, but some are {"; some are ".join(problems)}.'
        + _hint(extra - useless, missing, twins))
  for found in kept:
    _check_shapes(found, shapes, tensors)
  for copy, original in copies.items():
    if not np.array_equal(tensors[copy].read(), tensors[original].read()):
      raise errors.InputError(
          f'{copy} should equal {original}, since the config says that they '
          'are tied, but they differ: set tie_word_embeddings to false in the '
          'config if the model is not tied.')
  for name in useless & (constants or {}).keys():
    _check_constant(name, tensors[name], constants[name])
  return Match(tuple(kept), tuple(sorted(useless)), tuple(copies.items()))


def read(match: Match, tensors: tensors_lib.Tensors
         ) -> Iterator[tuple[str, np.ndarray]]:
  """Yields (path, parameter), float32, reading one row at a time.

  Each array is new, and nothing here keeps it.

  Raises:
    InputError: If a tensor has NaN or infinity.
  """
  for found in match.rows:
    stored = tuple(tensors[name].read() for name in found.names)
    for path, array in zip(found.paths, operations_lib.apply(
        found.operations, stored)):
      array = arrays.float32(array)
      if not arrays.finite(array):
        raise errors.InputError(
            f'{" or ".join(grouping.grouped(found.names))} has '
            f'{np.count_nonzero(~np.isfinite(array)):,} numbers that are NaN '
            'or infinite, so the model would compute nothing but NaN: the file '
            'is damaged.')
      yield path, array
      del array
    for each in stored:
      mapped.forget(each)


def write(rows: Iterable[Row], params: Any
          ) -> Iterator[tuple[str, tensors_lib.Tensor]]:
  """Yields (name, tensor), for parameters in the looped layout.

  The tensors are made when they are read.

  Raises:
    InputError: If no row has one of the parameters.
  """
  leaves = dict(trees.items(params))
  kept = _chosen(rows, leaves.keys())
  _check_covered(kept, leaves)
  for found in kept:
    shapes = found.file_shapes([leaves[path].shape for path in found.paths])
    for place, (name, shape) in enumerate(zip(found.names, shapes)):
      yield name, tensors_lib.Tensor(
          shape, 'F32', functools.partial(_made, found, leaves, place))


def _chosen(rows: Iterable[Row], paths: Set[str],
            names: Set[str] = frozenset()) -> list[Row]:
  """Returns the rows for the parameters that a model has, one row for each.

  Args:
    rows: The rows of the family.
    paths: The paths of the model's parameters.
    names: The names of the tensors of a file.
  """
  possible = [found for found in rows if paths >= set(found.paths)]
  kept, covered = [], set()
  for found in sorted(possible, key=lambda row: not names >= set(row.names)):
    if covered.isdisjoint(found.paths):
      kept.append(found)
      covered.update(found.paths)
  return kept


def _made(found: Row, leaves: Mapping[str, Any], place: int) -> np.ndarray:
  """Returns one tensor of a row, made from parameters."""
  made = operations_lib.invert(
      found.operations, tuple(np.asarray(leaves[path]) for path in found.paths))
  return arrays.float32(made[place])


def _hint(unknown: set[str], missing: set[str], twins: set[str]) -> str:
  """Returns what may be wrong where tensors are left over or missing."""
  if missing and missing <= twins:
    return (' They would be those of the embeddings if the model is tied; then '
            'set tie_word_embeddings to true in the config.')
  if missing or not unknown:
    return ''
  parts = sorted({name.partition('.')[0] for name in unknown})
  return (' If the model is to be used without them, leave them out with '
          + ' '.join(f"--ignore='{re.escape(part)}.*'" for part in parts) + '.')


def _check_covered(rows: Sequence[Row], paths: Iterable[str]) -> None:
  """Raises InputError if a parameter is in no row."""
  left = set(paths) - {path for found in rows for path in found.paths}
  if left:
    raise errors.InputError(
        'The family has no tensors for the parameters '
        f'{", ".join(grouping.grouped(left))}, which this model has: files of '
        'the family cannot hold it.')


def _check_shapes(found: Row, shapes: Mapping[str, tuple[int, ...]],
                  tensors: tensors_lib.Tensors) -> None:
  """Raises InputError if tensors do not have the shapes of a row."""
  want = found.file_shapes([shapes[path] for path in found.paths])
  for name, shape in zip(found.names, want):
    if tensors[name].shape != shape:
      raise errors.InputError(
          f'{name} should have shape {shape} according to the config, but it '
          f'has shape {tensors[name].shape} in the file.')


def _check_constant(name: str, tensor: tensors_lib.Tensor,
                    constant: Constant) -> None:
  """Raises InputError if a tensor does not have the values that it should."""
  error = np.abs(tensor.read() - constant(tensor.shape)).max()
  if not error < _CLOSE:
    raise errors.InputError(
        f'{name} should have known values, which lmjax computes itself, but in '
        f'the file it differs from them by {error:.2g}: files of this family '
        'with other values cannot be imported.')


@functools.lru_cache(maxsize=4096)
def _shapes(operations, shapes, forward):
  change = operations_lib.apply if forward else operations_lib.invert
  made = jax.eval_shape(
      functools.partial(change, operations),
      tuple(jax.ShapeDtypeStruct(shape, 'float32') for shape in shapes))
  return tuple(tuple(leaf.shape) for leaf in made)


def _tuple(given: str | Sequence[str]) -> tuple[str, ...]:
  return (given,) if isinstance(given, str) else tuple(given)
