"""Estimates the cost of training in advance: parameters, FLOPs and bytes.

The estimates work for any model: a function is traced with shapes instead of
arrays, and the trace shows its matrix products and the values that it keeps.
"""
from collections.abc import Callable, Iterator
import dataclasses
import math
from typing import Any

import jax

from lmjax.core import trees
from lmjax.models import decoder

Objective = Callable[..., Any]  # objective(params, batch, rng=key)


def shapes(config: Any) -> Any:
  """Returns a model's parameter tree as shapes and dtypes, without arrays.

  Args:
    config: The config of any model.
  """
  return jax.eval_shape(lambda: decoder.initial_params(config.build(), 0))


def parameters_by_part(params) -> dict[str, int]:
  """Returns the number of parameters under each top-level name.

  All blocks are counted as 'layers', whether they are looped or scanned.
  """
  parts = {}
  for path, leaf in trees.items(params):
    name = path.partition('/')[0]
    name = 'layers' if name.startswith('layer') else name
    parts[name] = parts.get(name, 0) + math.prod(leaf.shape)
  return parts


def training_flops(objective: Objective, params: Any, batch: Any) -> float:
  """Returns the FLOPs of one step on a batch, forward and backward.

  The count is three times the FLOPs of the forward pass's matrix products, as
  each of a product's two gradients costs the same again. For a Transformer this
  is 6 per token for every weight that the token is multiplied with, including
  the head, and 12 L N H T per token for attention. The latter includes the
  masked half of causal attention, which some kernels skip: build the model with
  `attend.plain`, which does not skip it. Recomputation under `remat` is not
  counted. In a mixture of experts, only the experts of each token count.

  Args:
    objective: `objective(params, batch, rng=None) -> {name: Mean}`.
    params: Parameters or their shapes.
    batch: A batch or its shapes.

  References:
    Kaplan et al., Scaling Laws, arXiv:2001.08361, section 2.1; Chowdhery et
    al., PaLM, arXiv:2204.02311, appendix B (which counts attention this way).
  """
  trace = jax.make_jaxpr(objective)(params, batch)
  return 3.0 * _product_flops(trace.jaxpr)


def _product_flops(jaxpr: Any) -> int:
  """Returns the FLOPs of all matrix products of a trace."""
  total = 0
  for equation in jaxpr.eqns:
    contracted = _contracted(equation)
    if contracted is not None:
      shape = equation.invars[0].aval.shape
      total += 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(
          shape[axis] for axis in contracted)
    inner = [_product_flops(each) for each in _inner(equation.params)]
    if equation.params.get('branches_platforms'):
      total += min(inner)  # Same result; some platforms do extra work.
    elif equation.primitive.name == 'cond':  # One branch is taken.
      total += max(inner)
    else:
      total += equation.params.get('length', 1) * sum(inner)
  return total


def _contracted(equation: Any) -> tuple[int, ...] | None:
  """Returns the axes of the left operand that a product sums over, if any."""
  if equation.primitive.name == 'dot_general':
    return equation.params['dimension_numbers'][0][0]
  if equation.primitive.name == 'ragged_dot_general':
    # Each row is multiplied by one matrix, as in an ordinary product.
    numbers = equation.params['ragged_dot_dimension_numbers']
    return numbers.dot_dimension_numbers[0][0]
  return None


def _inner(params: dict[str, Any]) -> Iterator[Any]:
  """Yields the traces inside an equation: bodies, branches, functions."""
  for value in params.values():
    for each in value if isinstance(value, (tuple, list)) else (value,):
      each = getattr(each, 'jaxpr', each)
      if hasattr(each, 'eqns'):
        yield each


@dataclasses.dataclass(frozen=True)
class Memory:
  """Estimated bytes of training, at rest and at the peak of a step."""
  parameters: int
  gradients: int
  optimizer: int
  activations: int

  @property
  def total(self) -> int:
    return (self.parameters + self.gradients + self.optimizer
            + self.activations)


def memory(objective: Objective, params: Any, optimizer: Any, batch: Any
           ) -> Memory:
  """Estimates the memory of training on one device, in bytes.

  Args:
    objective: `objective(params, batch, rng=key) -> {name: Mean}`.
    params: Parameters or their shapes.
    optimizer: An optax transformation.
    batch: The batch that is differentiated at once (a microbatch), or its
      shapes.

  Returns:
    The exact sizes of parameters, gradients and optimizer state, and the size
    of the activations that the trace keeps for the backward pass; the compiler
    may reduce the latter.
  """
  def kept(params, batch):
    def total(params):
      return objective(params, batch, rng=jax.random.key(0))['loss'].total
    return jax.vjp(total, params)[1]

  at_rest = _bytes(params)
  return Memory(
      parameters=at_rest, gradients=at_rest,
      optimizer=_bytes(jax.eval_shape(optimizer.init, params)),
      # The kept values include the parameters, which are counted above.
      activations=max(0, _bytes(jax.eval_shape(kept, params, batch)) - at_rest))


def _bytes(tree: Any) -> int:
  return sum(math.prod(leaf.shape) * leaf.dtype.itemsize
             for leaf in jax.tree.leaves(tree))
