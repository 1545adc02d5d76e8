"""Which axis of which array is cut along which axis of a mesh of devices.

Two tables say it: the path of a parameter names the meaning of its axes, and
the meaning names the mesh axis; models name the meaning of activations' axes
themselves (see `core.placement`). Every other array of a training state that
belongs to a parameter (moments, averages) is cut as that parameter is.

A parameter that meets no rule is cut over `fsdp` along its largest axis that
divides; where none does, every device holds a copy. A rule's axis that does
not divide stays whole, and if that was the one over `fsdp`, the largest other
axis that divides takes its place. Scanned layers are cut over `stage`.
"""
from collections.abc import Mapping, Sequence
import math
import re
from typing import Any

import jax

from lmjax.core import config
from lmjax.core import errors
from lmjax.core import trees

# stage: devices that share the layers, a batch passing through one after the
# other. data: that share only the rows of a batch. fsdp: that share the rows,
# and what is at rest. expert: that share the rows, and the experts of a
# mixture. sequence: that share the tokens of a row. tensor: that share every
# product. The last are nearest neighbours.
AXES = ('stage', 'data', 'fsdp', 'expert', 'sequence', 'tensor')
EXAMPLE = '--mesh=data:2,fsdp:2,tensor:2'

# What an axis means -> the mesh axes it is cut over; of a parameter's, one.
LOGICAL: dict[str, tuple[str, ...]] = {
    'embed': ('fsdp',),
    'vocab': ('tensor',),
    'heads': ('tensor',),
    'hidden': ('tensor',),
    'experts': ('expert',),
    'layers': ('stage',),
    'width': (),
    # Of batches and activations:
    'rows': ('data', 'fsdp', 'expert'),
    'tokens': ('sequence',),
    'whole_rows': ('data', 'fsdp', 'expert', 'sequence'),
}

# Pattern of a path -> what the last axes mean; () keeps the array whole. The
# first that meets counts.
Rules = Sequence[tuple[str, tuple[str, ...]]]
RULES: Rules = (
    (r'(^|/)embed/embedding$', ('vocab', 'embed')),
    (r'(^|/)head/kernel$', ('embed', 'vocab')),
    (r'(^|/)(head/bias|head_bias|tokens/bias)$', ('vocab',)),
    (r'(mixer|cross)/(query|key|value|position)/kernel$', ('embed', 'heads')),
    (r'(mixer|cross)/(query|key|value)/bias$', ('heads',)),
    (r'(mixer|cross)/out/kernel$', ('heads', 'embed')),
    (r'mlp/(in|gate)/kernel$', ('embed', 'hidden')),
    (r'mlp/(in|gate)/bias$', ('hidden',)),
    (r'mlp/out/kernel$', ('hidden', 'embed')),
    (r'experts/(in|gate)/kernel$', ('experts', 'embed', 'hidden')),
    (r'experts/(in|gate)/bias$', ('experts', 'hidden')),
    (r'experts/out/kernel$', ('experts', 'hidden', 'embed')),
    (r'experts/out/bias$', ('experts', 'width')),
    # To gather a vector costs more than the few bytes that it is.
    (r'(^|/)(bias|scale)$', ()),
)
_STACKED = re.compile(r'(^|/)layers/')  # Has a leading axis, the layer.

Spec = tuple[str | None, ...]  # The mesh axis of each axis of an array.


def parse(text: str) -> dict[str, int]:
  """Returns the sizes of all mesh axes, in the order of `AXES`.

  Args:
    text: Such as 'data:2,fsdp:2,tensor:2'; axes left out have size 1.

  Raises:
    InputError: If an axis is unknown or named twice, or a size is no number
      above 0.

  Example:
    >>> parse('fsdp:4,tensor:2')
    {'stage': 1, 'data': 1, 'fsdp': 4, 'expert': 1, 'sequence': 1, 'tensor': 2}
  """
  sizes = {}
  for part in text.split(','):
    name, _, size = (piece.strip() for piece in part.partition(':'))
    if name not in AXES:
      raise errors.InputError(
          f'mesh={text!r} names the axis {name!r}; the axes are '
          f'{", ".join(AXES)}, as in {EXAMPLE}.'
          f'{config.near(name, AXES)}')
    if name in sizes:
      raise errors.InputError(f'mesh={text!r} names the axis {name!r} twice.')
    if not (size.isascii() and size.isdigit()) or int(size) < 1:
      raise errors.InputError(
          f'mesh={text!r}: the size of {name!r} should be a whole number above '
          f'0, as in {name}:2; got {size!r}.')
    sizes[name] = int(size)
  return {name: sizes.get(name, 1) for name in AXES}


def shards_of_batch(sizes: Mapping[str, int]) -> int:
  """Returns into how many parts the rows of a batch are cut."""
  return math.prod(sizes[name] for name in LOGICAL['rows'])


def spec(path: str, shape: Sequence[int], sizes: Mapping[str, int],
         rules: Rules = RULES) -> Spec:
  """Returns the mesh axis of each axis of a parameter.

  Args:
    path: Of the parameter.
    shape: Its shape.
    sizes: Of the mesh axes; over those of size 1 nothing is cut.
    rules: Pairs of a pattern and what the last axes mean.

  Example:
    >>> spec('layers/mlp/in/kernel', (4, 8, 32), parse('fsdp:2,tensor:2'))
    (None, 'fsdp', 'tensor')
    >>> spec('anything/else', (9, 4, 6), parse('fsdp:2'))
    (None, None, 'fsdp')
  """
  meanings = next((m for p, m in rules if re.search(p, path)), None)
  names = [next(iter(LOGICAL[m]), None) for m in (meanings or ())]
  names = names[-len(shape):] if shape else []
  names = [None] * (len(shape) - len(names)) + names
  stacked = bool(_STACKED.search(path))
  if stacked:
    names[0] = LOGICAL['layers'][0]
  cut = [name if name and sizes[name] > 1 and size % sizes[name] == 0 else None
         for name, size in zip(names, shape)]
  wanted = meanings is None or 'fsdp' in names
  if wanted and sizes['fsdp'] > 1 and 'fsdp' not in cut:
    free = [axis for axis in range(stacked, len(shape))
            if cut[axis] is None and shape[axis] % sizes['fsdp'] == 0]
    if free:
      cut[max(free, key=lambda axis: shape[axis])] = 'fsdp'
  return tuple(cut)


def specs(tree: Any, sizes: Mapping[str, int], rules: Rules = RULES
          ) -> dict[str, Spec]:
  """Returns the `spec` of every array of parameters or of a training state.

  An array of a state whose path ends in that of a parameter is cut like it,
  or, if it is the parameter reduced along one axis (as the factors of a second
  moment), like the axes that are left. All else is whole on every device.

  Args:
    tree: Parameters, or a state with an attribute `params`; arrays or shapes.
    sizes: Of the mesh axes.
    rules: As in `spec`.
  """
  owners = {path: (tuple(leaf.shape), spec(path, leaf.shape, sizes, rules))
            for path, leaf in trees.items(getattr(tree, 'params', tree))}
  return {path: _follow(path, tuple(leaf.shape), owners)
          for path, leaf in trees.items(tree)}


def _follow(path: str, shape: tuple[int, ...], owners: Mapping[str, Any]
            ) -> Spec:
  """Returns how an array is cut that may belong to one of the parameters."""
  whole = (None,) * len(shape)
  parts = path.split('/')
  owner = next((owners['/'.join(parts[i:])] for i in range(len(parts))
                if '/'.join(parts[i:]) in owners), None)
  if owner is None:
    return whole
  full, cut = owner
  if shape == full:
    return cut
  for axis in reversed(range(len(full))):
    if shape == full[:axis] + full[axis + 1:]:
      return cut[:axis] + cut[axis + 1:]
  return whole


def partition(cut: Spec) -> jax.sharding.PartitionSpec:
  """Returns a spec as JAX's; trailing axes that are whole are left out."""
  names = list(cut)
  while names and names[-1] is None:
    names.pop()
  return jax.sharding.PartitionSpec(*names)


def bytes_per_device(tree: Any, sizes: Mapping[str, int], rules: Rules = RULES
                     ) -> dict[str, int]:
  """Returns what one device holds of every array, in bytes.

  Args:
    tree: As in `specs`.
    sizes: Of the mesh axes.
    rules: As in `spec`.

  Example:
    >>> kernel = jax.ShapeDtypeStruct((8, 32), 'float32')
    >>> bytes_per_device({'mlp': {'in': {'kernel': kernel}}}, parse('fsdp:4'))
    {'mlp/in/kernel': 256}
  """
  cuts = specs(tree, sizes, rules)
  return {
      path: math.prod(leaf.shape) * leaf.dtype.itemsize // math.prod(
          sizes[name] for name in cuts[path] if name)
      for path, leaf in trees.items(tree)}
