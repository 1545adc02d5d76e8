"""What training costs before it is run: parameters, FLOPs and bytes.

Nothing here knows a model: a function is traced with shapes instead of arrays,
and what it would multiply and keep is read off the trace.
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
  """Returns a model's parameter tree as shapes and dtypes, computing nothing.

  Args:
    config: Any model's, with `build`.
  """
  return jax.eval_shape(lambda: decoder.initial_params(config.build(), 0))


def parameters_by_part(params) -> dict[str, int]:
  """Returns the number of parameters under each top-level name.

  Blocks are added up as 'layers', whether they are looped or scanned.
  """
  parts = {}
  for path, leaf in trees.items(params):
    name = path.partition('/')[0]
    name = 'layers' if name.startswith('layer') else name
    parts[name] = parts.get(name, 0) + math.prod(leaf.shape)
  return parts


def training_flops(objective: Objective, params: Any, batch: Any) -> float:
  """Returns the FLOPs of one step on a batch, forward and backward.

  Those of matrix products, counted forward and taken three times: a product's
  two gradients cost as much again, each. For a Transformer this is 6 for every
  weight a token is multiplied with, the head's included, and 12 L N H T a token
  for attention, without the causal half that a kernel may skip: build the model
  with `attend.plain`, which skips none. Recomputation under `remat` does not
  count: the figure is the model's, not the program's. Of a mixture of experts
  those count to which tokens go.

  Args:
    objective: `objective(params, batch, rng=None) -> {name: Mean}`.
    params: Parameters or their shapes.
    batch: A batch or its shapes.

  References:
    Kaplan et al., Scaling Laws, arXiv:2001.08361, section 2.1; Chowdhery et
    al., PaLM, arXiv:2204.02311, appendix B (which counts attention likewise).
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
      total += min(inner)  # They compute the same, with more or less waste.
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
    # Each row meets one matrix, its group's: a product as any other.
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
  """Estimated bytes of training at rest and at the peak of a step."""
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
  """Estimates the bytes that training holds, on one device.

  Args:
    objective: `objective(params, batch, rng=key) -> {name: Mean}`.
    params: Parameters or their shapes.
    optimizer: An optax transformation, asked for the shapes of its state.
    batch: What is differentiated at once (a microbatch), or its shapes.

  Returns:
    Parameters, gradients and optimizer state exactly; activations as what the
    trace keeps for the backward pass, which the compiler may still lower.
  """
  def kept(params, batch):
    def total(params):
      return objective(params, batch, rng=jax.random.key(0))['loss'].total
    return jax.vjp(total, params)[1]

  at_rest = _bytes(params)
  return Memory(
      parameters=at_rest, gradients=at_rest,
      optimizer=_bytes(jax.eval_shape(optimizer.init, params)),
      # Parameters are among what is kept, and counted above.
      activations=max(0, _bytes(jax.eval_shape(kept, params, batch)) - at_rest))


def _bytes(tree: Any) -> int:
  return sum(math.prod(leaf.shape) * leaf.dtype.itemsize
             for leaf in jax.tree.leaves(tree))
