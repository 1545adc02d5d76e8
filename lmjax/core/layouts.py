"""Conversion between the two layouts of a stack of layers: looped and scanned.

A stack of layers (see `nn.stack`) names its parameters in one of two ways. In
the looped layout each layer has its own parameters, `layer_0/...`,
`layer_1/...` and so on. In the scanned layout the repeated layers are under
`layers/...`, and each array has a leading axis, the repetition; if a period of
several layers repeats, they are under `layers/place_0/...`,
`layers/place_1/...`. Layers before the first period and after the last whole
one are named `layer_i/...` as in a loop, each with its own number.

A conversion needs only these names, so it works anywhere in a tree: in one side
of an encoder-decoder, in the moments of an optimizer, or in averages. Values do
not change.
"""
from collections.abc import Iterator, Mapping, Sequence
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.core import trees

STACKED = 'layers'
_LAYER = re.compile(r'layer_(\d+)')
_PLACE = re.compile(r'place_(\d+)')


def looped(tree: Any) -> Any:
  """Returns a tree in the looped layout.

  Args:
    tree: Nested mappings of arrays.

  Raises:
    InputError: If the arrays of a stack differ in their leading axis, or a
      layer occurs twice.

  Example:
    >>> looped({'layers': {'bias': np.arange(2)}, 'norm': {'bias': 5}})
    {'norm': {'bias': 5}, 'layer_0': {'bias': array(0)}, 'layer_1': {'bias': \
array(1)}}
  """
  if not isinstance(tree, Mapping):
    return tree
  if _period(tree):
    tree = _unstacked(tree)
  return {name: looped(value) for name, value in tree.items()}


def like(tree: Any, target: Any) -> Any:
  """Returns a tree in the layout of another tree.

  Args:
    tree: Nested mappings of arrays.
    target: A tree whose names define the layout, such as the shapes of a
      model's parameters. Its leaves are not read, and it may have additional
      names or lack some.

  Returns:
    The converted tree, or `tree` itself if it has that layout.

  Raises:
    InputError: If layers to be stacked do not have the same arrays, or do not
      form whole periods.

  Example:
    >>> apart = {f'layer_{i}': {'bias': np.array(i)} for i in range(3)}
    >>> like(apart, {'layers': {'bias': ...}})
    {'layers': {'bias': array([0, 1, 2])}}
  """
  if not isinstance(tree, Mapping) or not isinstance(target, Mapping):
    return tree
  if alike(tree, target):
    return tree
  return _restacked(looped(tree), target)


def alike(tree: Any, target: Any) -> bool:
  """Returns whether two trees have the same layout of layers."""
  if not isinstance(tree, Mapping) or not isinstance(target, Mapping):
    return True
  if _period(tree) != _period(target) or (
      _period(tree) and _first(tree) != _first(target)):
    return False
  return all(alike(tree[name], target[name])
             for name in tree.keys() & target.keys())


def stacked(path: str) -> str | None:
  """Returns the part of a path that leads to a stacked layer, or None.

  Example:
    >>> stacked('decoder/layers/mlp/in/kernel')
    'decoder/layers'
    >>> stacked('layers/place_1/mlp/in/kernel')
    'layers/place_1'
    >>> stacked('layer_0/mlp/in/kernel')
  """
  parts = path.split('/')
  if STACKED not in parts[:-1]:
    return None
  end = parts.index(STACKED) + 1
  end += bool(_PLACE.fullmatch(parts[end]))
  return '/'.join(parts[:end])


def _period(node: Mapping[str, Any]) -> int:
  """Returns the number of layers in a stacked period; 0 if none is stacked."""
  inner = node.get(STACKED)
  if not isinstance(inner, Mapping):
    return 0
  return max(1, len(_numbered(inner, _PLACE)))


def _first(node: Mapping[str, Any]) -> int:
  """Returns the number of the first stacked layer."""
  apart = set(_numbered(node, _LAYER))
  return next(number for number in range(len(apart) + 1)
              if number not in apart)


def _numbered(node: Mapping[str, Any], pattern: re.Pattern) -> list[int]:
  """Returns the numbers in the names that match a pattern, in order."""
  return sorted(int(found[1]) for found in map(pattern.fullmatch, node)
                if found)


def _places(inner: Any, period: int) -> Iterator[Any]:
  """Yields the stacked arrays of each layer of a period."""
  whole = not (isinstance(inner, Mapping) and _numbered(inner, _PLACE))
  for place in range(period):
    yield inner if whole else inner[f'place_{place}']


def _unstacked(node: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a node with its own layers in the looped layout."""
  period, first, inner = _period(node), _first(node), node[STACKED]
  counts = {leaf.shape[:1] for leaf in jax.tree.leaves(inner)}
  if len(counts) != 1 or counts == {()}:
    raise errors.InputError(
        'The arrays of stacked layers should all have the same leading axis, '
        f'the layers; got axes of {sorted(counts)}.')
  (repeats,), = counts
  out = {name: value for name, value in node.items() if name != STACKED}
  for number in range(repeats):
    for place, values in enumerate(_places(inner, period)):
      name = f'layer_{first + number * period + place}'
      if name in out:
        raise errors.InputError(
            f'{name} occurs twice: by itself, and among {repeats} periods of '
            f'{period} stacked layers.')
      out[name] = jax.tree.map(lambda leaf: leaf[number, ...], values)
  return out


def _restacked(node: Any, target: Any) -> Any:
  """Returns a looped node in the target's layout."""
  if not isinstance(node, Mapping) or not isinstance(target, Mapping):
    return node
  period = _period(target)
  if not period:
    return {name: _restacked(value, target.get(name))
            for name, value in node.items()}
  apart = set(_numbered(target, _LAYER))
  numbers = [n for n in _numbered(node, _LAYER) if n not in apart]
  taken = {f'layer_{number}' for number in numbers}
  out = {name: _restacked(value, target.get(name))
         for name, value in node.items() if name not in taken}
  if not numbers:
    return out
  if len(numbers) % period:
    raise errors.InputError(
        f'Layers should be stacked in periods of {period}, but there are '
        f'{len(numbers)}: {", ".join(sorted(taken))}.')
  stacks = []
  for place, inner in enumerate(_places(target[STACKED], period)):
    names = [f'layer_{number}' for number in numbers[place::period]]
    stacks.append(_stack(names, [
        _restacked(node[name], inner) for name in names]))
  whole = period == 1 and not _numbered(target[STACKED], _PLACE)
  return out | {STACKED: stacks[0] if whole else {
      f'place_{place}': stack for place, stack in enumerate(stacks)}}


def _stack(names: Sequence[str], layers: Sequence[Any]) -> Any:
  """Returns layers stacked along a new leading axis."""
  shapes = [{path: jnp.shape(leaf) for path, leaf in trees.items(layer)}
            for layer in layers]
  for name, other in zip(names, shapes):
    differ = sorted(path for path in shapes[0] | other
                    if shapes[0].get(path) != other.get(path))
    if differ:
      raise errors.InputError(
          f'{names[0]} and {name} cannot be stacked, as they differ in '
          f'{differ[0]}: {shapes[0].get(differ[0], "absent")} and '
          f'{other.get(differ[0], "absent")}.')
  return jax.tree.map(_joined, *layers)


def _joined(*leaves):
  """Returns arrays stacked along a new axis, on the host if all are there."""
  on_host = all(isinstance(leaf, np.ndarray) for leaf in leaves)
  return (np if on_host else jnp).stack(leaves)
