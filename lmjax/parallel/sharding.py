"""The division of arrays over the axes of a mesh of devices.

Two tables define it: one maps the path of a parameter to the meanings of its
axes, the other maps a meaning to mesh axes. Models name the meanings of the
axes of activations themselves (see `core.placement`). Arrays of a training
state that belong to a parameter (moments, averages) are divided in the same way
as the parameter.

A parameter that matches no rule is divided over `fsdp` along its largest axis
that divides evenly; if there is none, every device holds a copy. An axis that a
rule names but that does not divide evenly stays whole; if it was to be divided
over `fsdp`, the largest other axis that divides evenly is divided instead.
Scanned layers are divided over `stage`.
"""
from collections.abc import Mapping, Sequence
import math
import re
from typing import Any

import jax

from lmjax.core import config
from lmjax.core import errors
from lmjax.core import layouts
from lmjax.core import trees

# Devices along `stage` divide the layers, and a batch passes through them in
# turn. Devices along `data` divide only the rows of a batch; along `fsdp` the
# rows and the stored state; along `expert` the rows and the experts of a
# mixture; along `sequence` the tokens of a row; along `tensor` every matrix
# product. Devices along the last axis are nearest neighbours.
AXES = ('stage', 'data', 'fsdp', 'expert', 'sequence', 'tensor')
EXAMPLE = '--mesh=data:2,fsdp:2,tensor:2'

# From the meaning of an axis to the mesh axes it is divided over. An axis of a
# parameter is divided over one mesh axis.
LOGICAL: dict[str, tuple[str, ...]] = {
    'embed': ('fsdp',),
    'vocab': ('tensor',),
    'heads': ('tensor',),
    'hidden': ('tensor',),
    'experts': ('expert',),
    'layers': ('stage',),
    'width': (),
    # For batches and activations:
    'rows': ('data', 'fsdp', 'expert'),
    'tokens': ('sequence',),
    'whole_rows': ('data', 'fsdp', 'expert', 'sequence'),
}

# Pairs of a pattern of paths and the meanings of the last axes; () keeps the
# array whole. The first pattern that matches counts.
Rules = Sequence[tuple[str, tuple[str, ...]]]
RULES: Rules = (
    (r'(^|/)embed/embedding$', ('vocab', 'embed')),
    (r'(^|/)(head|tokens)/kernel$', ('embed', 'vocab')),
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
    # Gathering a vector costs more than the few bytes that dividing it saves.
    (r'(^|/)(bias|scale)$', ()),
)

Spec = tuple[str | None, ...]  # The mesh axis of each axis of an array.


def parse(text: str) -> dict[str, int]:
  """Returns the sizes of all mesh axes, in the order of `AXES`.

  Args:
    text: Sizes such as 'data:2,fsdp:2,tensor:2'; missing axes have size 1.

  Raises:
    InputError: If an axis is unknown or named twice, or a size is not a whole
      number above 0.

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
  """Returns the number of parts that the rows of a batch are divided into."""
  return math.prod(sizes[name] for name in LOGICAL['rows'])


def spec(path: str, shape: Sequence[int], sizes: Mapping[str, int],
         rules: Rules = RULES) -> Spec:
  """Returns the mesh axis of each axis of a parameter.

  Args:
    path: The path of the parameter.
    shape: The shape of the parameter.
    sizes: The sizes of the mesh axes; axes of size 1 divide nothing.
    rules: Pairs of a pattern and the meanings of the last axes.

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
  stacked = layouts.stacked(path) is not None
  if stacked:  # Such an array has a leading layer axis.
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

  An array of a state whose path ends in the path of a parameter is divided like
  the parameter. If it is the parameter reduced along one axis (as the factors
  of a second moment), it is divided like the remaining axes. Other arrays are
  whole on every device.

  Args:
    tree: Parameters, or a state with an attribute `params`; arrays or shapes.
    sizes: The sizes of the mesh axes.
    rules: See `spec`.
  """
  owners = {path: (tuple(leaf.shape), spec(path, leaf.shape, sizes, rules))
            for path, leaf in trees.items(getattr(tree, 'params', tree))}
  return {path: _follow(path, tuple(leaf.shape), owners)
          for path, leaf in trees.items(tree)}


def _follow(path: str, shape: tuple[int, ...], owners: Mapping[str, Any]
            ) -> Spec:
  """Returns the spec of an array, which may belong to one of the parameters."""
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
  """Returns a spec as a JAX `PartitionSpec`, without trailing Nones."""
  names = list(cut)
  while names and names[-1] is None:
    names.pop()
  return jax.sharding.PartitionSpec(*names)


def bytes_per_device(tree: Any, sizes: Mapping[str, int], rules: Rules = RULES
                     ) -> dict[str, int]:
  """Returns the bytes of each array that one device holds, by path.

  Args:
    tree: See `specs`.
    sizes: The sizes of the mesh axes.
    rules: See `spec`.

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
