"""ONNX graphs: the weights in them, under the names that PyTorch gave them.

An exporter keeps the names of most parameters, but folds the transpose of a
matrix into it and gives the result a name such as `onnx::MatMul_470`. What such
a matrix is follows from the graph: the bias that is added to its product has
kept its name, as has the node of the product.

References:
  ONNX, `onnx.proto`, https://github.com/onnx/onnx.
"""
from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import math
import os

import ml_dtypes
import numpy as np

from lmjax.core import errors
from lmjax.interop.formats import elements
from lmjax.interop.formats import mapped
from lmjax.interop.formats import protobuf
from lmjax.interop.formats import tensors as tensors_lib

# Fields of messages, by the names of onnx.proto.
_GRAPH = 7
_NODE, _INITIALIZER = 1, 5
_INPUT, _OUTPUT, _NAME, _OP, _ATTRIBUTE = 1, 2, 3, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INT = 1, 3
_DIMS, _TYPE, _TENSOR_NAME, _RAW, _EXTERNAL, _LOCATION = 1, 2, 8, 9, 13, 14
_NUMBERS = {4: np.dtype('<f4'), 10: np.dtype('<f8')}  # If there is no `raw`.
_INTEGERS = 5, 7, 11  # As varints: shapes and indices.
_DTYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16,
           6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16,
           11: np.float64, 12: np.uint32, 13: np.uint64,
           16: ml_dtypes.bfloat16}
_MOST_DIMENSIONS = 32
_MOST = 100_000  # Tensors, and operations that may name one, of a graph.
_PRODUCTS = 'MatMul', 'Gemm'
_QUANTISED = ('DequantizeLinear', 'MatMulInteger', 'MatMulNBits',
              'QLinearMatMul', 'DynamicQuantizeMatMul')


@dataclasses.dataclass(frozen=True)
class _Node:
  """An operation of a graph; `transposed` is whether it transposes its weight.
  """
  inputs: tuple[str, ...]
  outputs: tuple[str, ...]
  name: str
  op: str
  transposed: bool


def open_weights(path: str | os.PathLike[str]) -> tensors_lib.Tensors:
  """Opens an ONNX file; a tensor is read when it is asked for.

  Args:
    path: The file.

  Returns:
    The tensors by the names of the PyTorch module's parameters, without the
    prefix that all of them have; matrices of linear layers are [out, in].

  Raises:
    InputError: If the file is damaged, is quantised, stores its numbers in
      other files, or has a matrix of which the graph does not say what it is.
  """
  content = memoryview(mapped.content(path))
  try:
    graph = _graph(content)
    found, nodes = {}, []
    for field, value in protobuf.fields(graph):
      if field == _INITIALIZER:
        name, tensor = _tensor(protobuf.nested(value))
        if name in found:
          raise ValueError(f'the tensor {name[:100]!r} comes twice')
        found[name] = tensor
      elif field == _NODE:
        node = _node(protobuf.nested(value))
        if node.op in ('Add', *_PRODUCTS, *_QUANTISED):
          nodes.append(node)
      if max(len(found), len(nodes)) > _MOST:
        raise ValueError(f'it has more than {_MOST:,} tensors or operations')
    return _without_prefix(_named(found, nodes))
  except ValueError as error:
    raise errors.InputError(
        f'{path} is not an ONNX model whose weights can be read: {error}.'
    ) from error


def _graph(content: memoryview) -> memoryview:
  graphs = [protobuf.nested(value) for field, value in protobuf.fields(content)
            if field == _GRAPH]
  if len(graphs) != 1:
    raise ValueError(f'it should have one graph, but has {len(graphs)}')
  return graphs[0]


def _node(message: memoryview) -> _Node:
  """Returns a node of a graph."""
  inputs, outputs, name, op, transposed = [], [], '', '', False
  for field, value in protobuf.fields(message):
    if field == _INPUT:
      inputs.append(protobuf.text(value))
    elif field == _OUTPUT:
      outputs.append(protobuf.text(value))
    elif field == _NAME:
      name = protobuf.text(value)
    elif field == _OP:
      op = protobuf.text(value)
    elif field == _ATTRIBUTE:
      transposed |= _is_true(protobuf.nested(value), 'transB')
  return _Node(tuple(inputs), tuple(outputs), name, op, transposed)


def _is_true(attribute: memoryview, name: str) -> bool:
  """Returns whether this is the attribute of the name, and is not zero."""
  found = {field: value for field, value in protobuf.fields(attribute)
           if field in (_ATTRIBUTE_NAME, _ATTRIBUTE_INT)}
  return (_ATTRIBUTE_NAME in found
          and protobuf.text(found[_ATTRIBUTE_NAME]) == name
          and bool(found.get(_ATTRIBUTE_INT)))


def _tensor(message: memoryview) -> tuple[str, tensors_lib.Tensor]:
  """Returns the name of a tensor, and the tensor."""
  shape, kind, name, data = [], 0, '', None
  for field, value in protobuf.fields(message):
    if field == _DIMS:
      shape += protobuf.wholes(value, _MOST_DIMENSIONS)
    elif field == _TYPE:
      kind = protobuf.whole(value)
    elif field == _TENSOR_NAME:
      name = protobuf.text(value)
    elif field == _RAW or field in _NUMBERS or field in _INTEGERS:
      data = field, value
    elif field == _EXTERNAL or field == _LOCATION and value:
      raise ValueError(
          f'the tensor {name[:100]!r} is stored in another file; save the '
          'model in one file')
  what = f'the tensor {name[:100]!r}'
  if kind not in _DTYPES:
    raise ValueError(f'{what} has elements of the type {kind}')
  dtype, shape = np.dtype(_DTYPES[kind]), tuple(shape)
  if min(shape, default=1) < 0 or not mapped.fits(shape, dtype):
    raise ValueError(f'{what} has the shape {str(shape)[:100]}')
  return name, tensors_lib.Tensor(
      shape, elements.NAMES[dtype], _reader(data, dtype, shape, what))


def _reader(data, dtype, shape, what):
  """Returns the function that reads a tensor, whose size is checked now."""
  field, value = data or (_RAW, memoryview(b''))
  if field in _INTEGERS:
    def refuse():
      raise errors.InputError(
          f'{what} is stored as numbers of variable length, which parameters '
          'are not. Export the model again.')
    return refuse
  found = protobuf.array(
      protobuf.nested(value), dtype if field == _RAW else _NUMBERS[field])
  if found.size != math.prod(shape):
    raise ValueError(
        f'{what} should have {math.prod(shape):,} numbers, but has '
        f'{found.size:,}')
  return lambda: np.require(
      found.reshape(shape).astype(dtype, copy=False), requirements='A')


def _named(found: Mapping[str, tensors_lib.Tensor], nodes: Sequence[_Node]
           ) -> dict[str, tensors_lib.Tensor]:
  """Returns the parameters under the names of PyTorch's module."""
  added = {each: node for node in nodes if node.op == 'Add'
           for each in node.inputs}
  named, used = {}, {}
  for node in nodes:
    if node.op in _QUANTISED:
      raise ValueError(
          f'it is quantised: its graph has the operation {node.op}; export it '
          'unquantised')
    if node.op in _PRODUCTS and len(node.inputs) > 1 and (
        node.inputs[1] in found):
      used.setdefault(node.inputs[1], node)
  for name, tensor in found.items():
    node = used.get(name)
    if node is not None and len(tensor.shape) == 2:
      name = _parameter(name, node, added, found)
      if not node.transposed:
        tensor = _transposed(tensor)
    elif _is_generated(name):
      if tensor.size > 1 and tensor.dtype.startswith(('F', 'BF')):
        raise ValueError(
            f'the graph does not say what the tensor {name[:100]!r} of the '
            f'shape {tensor.shape} is')
      continue  # A constant of the computation.
    if name in named:
      raise ValueError(f'two tensors are the parameter {name[:100]!r}')
    named[name] = tensor
  return named


def _parameter(name: str, node: _Node, added: Mapping[str, _Node],
               found: Mapping[str, tensors_lib.Tensor]) -> str:
  """Returns the name of the parameter that a node multiplies by."""
  if not _is_generated(name):
    return name
  biases = node.inputs[2:] if node.op == 'Gemm' else tuple(
      each for output in node.outputs if output in added
      for each in added[output].inputs if each in found)
  scope = node.name.strip('/').rpartition('/')[0].replace('/', '.')
  if len(biases) == 1 and biases[0].endswith('.bias'):
    module = biases[0].removesuffix('.bias')
    if scope and not f'.{scope}'.endswith(f'.{module}'):
      raise ValueError(
          f'the tensor {name[:100]!r} is multiplied in {scope[:100]!r}, but '
          f'the bias of {module[:100]!r} is added to the product')
    return f'{module}.weight'
  if not scope:
    raise ValueError(
        f'the graph does not say what the tensor {name[:100]!r} is')
  return f'{_module(scope, found)}.weight'


def _module(scope: str, names: Iterable[str]) -> str:
  """Returns the module of a scope.

  A scope may begin with modules that the names of parameters lack. The module
  is the end of the scope that has the most in common with one of the names.
  """
  parts = scope.split('.')
  known = [name.split('.') for name in names if not _is_generated(name)]
  shared = [max((len(os.path.commonprefix([parts[start:], each]))
                 for each in known), default=0) for start in range(len(parts))]
  return '.'.join(parts[shared.index(max(shared)):])


def _is_generated(name: str) -> bool:
  return name.isdigit() or '::' in name or name.startswith('/')


def _transposed(tensor: tensors_lib.Tensor) -> tensors_lib.Tensor:
  return dataclasses.replace(
      tensor, shape=tensor.shape[::-1], read=lambda: tensor.read().T)


def _without_prefix(named: dict[str, tensors_lib.Tensor]
                    ) -> dict[str, tensors_lib.Tensor]:
  """Returns tensors by names without the modules that contain all of them."""
  common = os.path.commonprefix([name.split('.')[:-1] for name in named])
  start = len('.'.join((*common, '')))
  return {name[start:]: tensor for name, tensor in named.items()}
