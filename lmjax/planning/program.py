"""Estimates the FLOPs, memory traffic and peak memory of a program's trace.

Nothing is compiled. The trace is read as a compiler would fuse it. Matrix
products, gathers, sorts and loops read and write arrays in memory, and
reductions write their results. An elementwise operation is fused into its
readers; its result is written only if a reader cannot be fused with it, or if
it is costly and read twice. An array is held from the operation that writes it
to the last one that reads it.
"""
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import math
from typing import Any

import jax
import jax.extend

# Operations whose result is the same memory as their operand.
_ALIASES = frozenset({
    'reshape', 'squeeze', 'expand_dims', 'copy', 'copy_p', 'name',
    'sharding_constraint', 'stop_gradient', 'optimization_barrier'})
# Elementwise operations that are too costly to compute twice.
_COSTLY = frozenset({
    'exp', 'exp2', 'log', 'log1p', 'expm1', 'tanh', 'logistic', 'erf', 'rsqrt',
    'sqrt', 'div', 'pow', 'sin', 'cos', 'threefry2x32', 'random_bits', 'rem'})
# Operations that read and write whole arrays.
_WHOLE = frozenset({
    'dot_general', 'ragged_dot_general', 'conv_general_dilated', 'gather',
    'scatter', 'scatter-add', 'scatter_add', 'sort', 'top_k', 'cumsum',
    'cumlogsumexp', 'cummax', 'scan', 'while', 'cond', 'all_to_all', 'ppermute',
    'fused'})
# Those of them that update an array in place.
_UPDATES = frozenset({'scatter', 'scatter-add', 'scatter_add'})
# XLA's memory on a CPU, divided by the sum of the arrays: arrays of different
# sizes leave gaps, and some operands are copied to another layout.
_PACKING = 1.15


Shape = tuple[tuple[int, ...], Any]  # A shape and a dtype.


@dataclasses.dataclass(frozen=True)
class Cost:
  """The cost of running a program once.

  Attributes:
    flops: FLOPs of matrix products.
    traffic: Bytes read from and written to memory.
    peak: Largest number of bytes held at once, without the program's inputs.
  """
  flops: float
  traffic: float
  peak: float


def cost(function: Callable[..., Any], *args: Any,
         held: Mapping[Shape, float] | None = None,
         axes: Mapping[str, int] | None = None) -> Cost:
  """Returns the cost of `function(*args)`.

  Args:
    function: A function that JAX can trace.
    *args: Arrays or their shapes.
    held: Bytes of an array by shape and dtype, for arrays that are divided over
      devices and so occupy less than their size.
    axes: Names and sizes of the mapped axes that the function uses.
  """
  trace = jax.make_jaxpr(
      function, axis_env=list((axes or {}).items()))(*args).jaxpr
  return _Program(trace, held or {}).cost()


def fused(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
  """Returns `function(operands, rest)` as a kernel that is one operation.

  It saves only the operands for its gradient. The gradient is one operation
  too, which recomputes all other values.

  Args:
    function: The function, which is differentiated only by its operands.
  """
  def gradient(cotangent, operands, rest):
    return jax.vjp(lambda operands: function(operands, rest), operands)[1](
        cotangent)[0]

  forward, backward = _opaque(function), _opaque(gradient)
  run = jax.custom_vjp(forward)
  run.defvjp(
      lambda operands, rest: (forward(operands, rest), (operands, rest)),
      lambda saved, cotangent: (backward(cotangent, *saved), None))
  return run


# An opaque primitive rather than a call: JAX would move computations that
# depend only on `rest`, such as masks as large as the logits, out of the loop
# over layers.
_FUSED = jax.extend.core.Primitive('fused')
_FUSED.multiple_results = True
_FUSED.def_abstract_eval(lambda *_, trace: trace.out_avals)
_FUSED.def_impl(
    lambda *args, trace: jax.extend.core.jaxpr_as_fun(trace)(*args))


def _opaque(function):
  def run(*args):
    trace, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
    return jax.tree.unflatten(
        jax.tree.structure(shapes),
        _FUSED.bind(*jax.tree.leaves(args), trace=trace))
  return run


@dataclasses.dataclass
class _Operation:
  name: str
  reads: list[int]
  writes: list[int]
  flops: float = 0.0
  inner: Cost | None = None  # Of one iteration of a loop, or of one branch.
  turns: int = 1
  carried: Sequence[tuple[int, int]] = ()  # A loop's pairs of input and output.


class _Program:
  """A trace with all calls inlined, in which arrays are numbered."""

  def __init__(self, trace, held, body=False):
    self.held = held
    self.bytes, self.operations, self.same = [], [], {}
    names = {}
    self.inputs = {self._new(names, var) for var in trace.constvars}
    self.inputs |= {self._new(names, var) for var in trace.invars}
    self._inline(trace, names)
    found = [self._canonical(names.get(id(var))) for var in trace.outvars]
    self.outputs = {v for v in found if v is not None}
    self.body = body  # A loop's body, which overwrites its last results.
    self._prune()

  def _new(self, names, var):
    names[id(var)] = len(self.bytes)
    shape, dtype = (getattr(var.aval, key, None) for key in ('shape', 'dtype'))
    size = math.prod(shape or ()) * getattr(dtype, 'itemsize', 4)
    self.bytes.append(self.held.get((shape, dtype), size))
    return names[id(var)]

  def _canonical(self, value):
    while value in self.same:
      value = self.same[value]
    return value

  def _inline(self, trace, names):
    for equation in trace.eqns:
      ins = [names.get(id(v)) for v in equation.invars]  # None: a literal.
      name, params = equation.primitive.name, equation.params
      inner = [each for value in params.values() for each in _traces(value)]
      whole = equation.primitive is _FUSED or name in ('scan', 'while', 'cond')
      if len(inner) == 1 and not whole and len(inner[0].invars) == len(ins):
        inside = {id(v): n for v, n in zip(inner[0].invars, ins)
                  if n is not None}
        for var in inner[0].constvars:
          self._new(inside, var)
        self._inline(inner[0], inside)
        for var, result in zip(equation.outvars, inner[0].outvars):
          value = inside.get(id(result))
          if value is None:
            self._new(names, var)
          else:
            names[id(var)] = value
        continue
      writes = [self._new(names, var) for var in equation.outvars]
      if name in _ALIASES or (name == 'convert_element_type' and (
          equation.invars[0].aval.dtype == equation.outvars[0].aval.dtype)):
        self.same.update(
            {w: r for w, r in zip(writes, ins) if r is not None})
        continue
      self.operations.append(self._operation(
          equation, name, inner, ins, writes))

  def _operation(self, equation, name, inner, ins, writes):
    reads = [self._canonical(value) for value in ins if value is not None]
    operation = _Operation(name, reads, writes)
    if name == 'dot_general':
      (contracted, _), _ = equation.params['dimension_numbers']
      shape = equation.invars[0].aval.shape
      operation.flops = 2.0 * math.prod(equation.outvars[0].aval.shape) * (
          math.prod(shape[axis] for axis in contracted))
    elif equation.primitive is _FUSED:
      operation.flops = _Program(inner[0], self.held).cost().flops
    elif inner:
      costs = [_Program(each, self.held, body=True).cost() for each in inner]
      operation.inner = Cost(  # `_PACKING` is applied once, by the outer cost.
          max(c.flops for c in costs), max(c.traffic for c in costs),
          max(c.peak for c in costs) / _PACKING)
      operation.turns = equation.params.get('length', 1)
    if name == 'scan':
      # Constants come first, then the carry; both are as large as outside.
      count = _as_large(equation.outvars, inner[0].outvars)
      first = _as_large(equation.invars, inner[0].invars) - count
      operation.carried = [
          (self._canonical(value), write) for value, write in zip(
              ins[first:first + count], writes) if value is not None]
    return operation

  def _prune(self):
    """Removes operations whose results are not used."""
    wanted, kept = set(self.outputs), []
    for operation in reversed(self.operations):
      if wanted & set(operation.writes):
        kept.append(operation)
        wanted |= set(operation.reads)
    self.operations = kept[::-1]

  def _written(self):
    """Returns the values that are written to memory."""
    readers = {}
    for number, operation in enumerate(self.operations):
      for value in operation.reads:
        readers.setdefault(value, set()).add(number)
    written = set()
    for operation in self.operations:
      whole = operation.name in _WHOLE or _reduces(operation.name)
      for value in operation.writes:
        by = [self.operations[i] for i in readers.get(value, ())]
        if whole or (value in self.outputs and not self.body) or any(
            o.name in _WHOLE for o in by) or (
                operation.name in _COSTLY and len(by) > 1):
          written.add(value)
    return written

  def cost(self) -> Cost:
    """Returns the cost of one run."""
    written = self._written()
    # From a value to the written arrays that it is computed from.
    sources = {v: frozenset([v]) for v in self.inputs}
    runs = []  # Triples of an operation, the arrays it reads and it writes.
    for operation in self.operations:
      read = frozenset().union(
          *(sources.get(v, frozenset()) for v in operation.reads))
      made = [v for v in operation.writes if v in written]
      for value in operation.writes:
        sources[value] = frozenset([value]) if value in written else read
      if made or operation.name in _WHOLE:
        runs.append((operation, read, made))
    last = {v: number for number, (_, read, _) in enumerate(runs)
            for v in read}
    for value in self.outputs:
      for source in sources.get(value, ()):
        last[source] = len(runs)

    flops = traffic = held = peak = 0.0
    alive = set()
    for number, (operation, read, made) in enumerate(runs):
      flops += operation.flops
      traffic += sum(self.bytes[v] for v in (*read, *made))
      extra = 0.0
      if operation.inner is not None:
        flops += operation.turns * operation.inner.flops
        traffic += operation.turns * operation.inner.traffic
        extra = operation.inner.peak
      new = {v for v in made if v not in alive}
      dying = {v for v in read & alive if last[v] <= number}
      held += sum(self.bytes[v] for v in new)
      alive |= new
      peak = max(peak, held + extra - self._in_place(operation, new, dying))
      held -= sum(self.bytes[v] for v in dying)
      alive -= dying
      for value in new:  # These are written but never read.
        if last.get(value, -1) < 0:
          held -= self.bytes[value]
          alive.discard(value)
    return Cost(flops, traffic, _PACKING * peak)

  def _in_place(self, operation, new, dying):
    """Returns the bytes written over arrays that are read for the last time."""
    if operation.carried:
      return sum(self.bytes[write] for read, write in operation.carried
                 if read in dying and write in new)
    whole = operation.name in _WHOLE and operation.name not in _UPDATES
    if whole or _reduces(operation.name):
      return 0
    left = [self.bytes[v] for v in dying]
    written = 0
    for value in new:
      if self.bytes[value] in left:
        left.remove(self.bytes[value])
        written += self.bytes[value]
    return written


def _as_large(outside, inside):
  """Returns how many variables of a loop are not sliced per iteration."""
  return sum(len(outer.aval.shape) == len(inner.aval.shape)
             for outer, inner in zip(outside, inside, strict=True))


def _reduces(name):
  return name.startswith(('reduce_', 'arg'))


def _traces(value):
  """Yields the traces in a parameter of an equation."""
  for each in value if isinstance(value, (tuple, list)) else (value,):
    each = getattr(each, 'jaxpr', each)
    if hasattr(each, 'eqns'):
      yield each
