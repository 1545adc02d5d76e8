"""Checks that two programs compute the same, for any code.

As in `invariance`, the arguments are plain functions, and a failure reports the
difference, its place, and its usual causes.
"""
from collections.abc import Callable, Sequence
import functools
from typing import Any

import jax
from jax.extend import core as jax_core
import numpy as np

from lmjax.testing import compare
from lmjax.testing import gradients
from lmjax.testing import invariance

_TOLERANCE = invariance.TOLERANCE


def accumulation_equals_big_batch(
    update: Callable[[Any, int], Any], batch: Any, *,
    parts: Sequence[int] = (2, 4), tolerance: float = _TOLERANCE,
) -> None:
  """Checks that microbatches give the same update as the whole batch.

  Args:
    update: `(batch, parts) -> tree`: loss, gradients or new parameters, from
      the batch cut into a number of parts along its rows.
    batch: A batch whose rows have unequal sums of weights; full rows would hide
      the most common mistake, a mean of means.
    parts: The numbers of parts to try.
    tolerance: Largest relative error.

  Example:
    >>> def update(batch, parts):
    ...   pieces = np.split(batch['weights'], parts)
    ...   return sum(piece.sum() for piece in pieces)
    >>> weights = np.array([[1., 1.], [1., 0.], [0., 0.], [1., 1.]])
    >>> accumulation_equals_big_batch(update, {'weights': weights})
  """
  if 'weights' in batch:
    counts = np.sum(np.asarray(batch['weights']), axis=1)
    if np.all(counts == counts[0]):
      raise AssertionError(
          'accumulation_equals_big_batch proves nothing: every row counts '
          f'{counts[0]:g} tokens. Give it rows of different lengths.')
  want = update(batch, 1)
  for count in parts:
    compare.close(
        f'The update from {count} microbatches', update(batch, count), want,
        tolerance, 'Add up totals and weights over the parts and divide once '
        'at the end; the mean of the parts\' means weighs tokens unequally.')


def remat_equals_none(
    remat: gradients.Loss, plain: gradients.Loss, params: Any, batch: Any, *,
    tolerance: float = _TOLERANCE,
) -> None:
  """Checks that rematerialisation is on, saves memory, and changes no number.

  Args:
    remat: `(params, batch) -> loss` (any form that `gradients.sums` takes)
      with rematerialisation.
    plain: The same function without rematerialisation.
    params: Parameters of both.
    batch: A batch.
    tolerance: Largest relative error of loss and gradient.

  Raises:
    AssertionError: If results differ, the differentiated program contains no
      checkpoint, or its backward pass does not keep fewer bytes.

  Example:
    >>> import jax.numpy as jnp
    >>> def plain(params, batch):
    ...   return jnp.sum(jnp.sin(jnp.sin(params * batch['x']))), 1.0
    >>> remat_equals_none(jax.checkpoint(plain), plain, jnp.ones(4),
    ...                   {'x': jnp.arange(4.0)})
  """
  def total(loss):
    return lambda params: gradients.sums(loss, params, batch)[0]

  if not primitives(jax.grad(total(remat)), params) & {'remat2', 'checkpoint'}:
    raise AssertionError(
        'Rematerialisation is off: the differentiated program contains no '
        'checkpoint. Is the setting read, and the wrapped module the one that '
        'is called?')
  kept, without = (_kept_bytes(total(f), params) for f in (remat, plain))
  if kept >= without:
    raise AssertionError(
        f'Rematerialisation saves nothing: the backward pass keeps {kept:,} '
        f'bytes with it and {without:,} without. Does its policy keep '
        'everything, or is the wrapped part too small?')
  compare.close(
      'The loss with rematerialisation',
      gradients.with_gradient(remat)(params, batch),
      gradients.with_gradient(plain)(params, batch), tolerance,
      'What is computed again is not what was computed first: look for random '
      'numbers or state inside the wrapped part.')


def _kept_bytes(function, params):
  """Returns the bytes that are kept for the backward pass of `function`."""
  kept = jax.eval_shape(lambda params: jax.vjp(function, params)[1], params)
  return sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize
             for leaf in jax.tree.leaves(kept))


def primitives(function: Callable[..., Any], *args: Any) -> set[str]:
  """Returns the names of all primitives in the program of `function(*args)`.

  Example:
    >>> sorted(primitives(lambda x: x * 2 + 1, 1.0))
    ['add', 'mul']
  """
  found = set()

  def visit(jaxpr):
    for equation in jaxpr.eqns:
      found.add(equation.primitive.name)
      for inner in jax_core.jaxprs_in_params(equation.params):
        visit(inner)

  visit(jax.make_jaxpr(function)(*args).jaxpr)
  return found


def scan_equals_loop(
    scan: gradients.Loss, loop: gradients.Loss, loop_params: Any,
    to_scan: Callable[[Any], Any], batch: Any, *,
    tolerance: float = _TOLERANCE,
) -> None:
  """Checks that scanned and looped layers have the same loss and gradient.

  Args:
    scan: `(params, batch) -> loss`, any form that `gradients.sums` takes.
    loop: The same function with a Python loop over layers.
    loop_params: Parameters of `loop`.
    to_scan: Converts parameters (and gradients) of `loop` to those of `scan`.
    batch: A batch.
    tolerance: Largest relative error of loss and gradient.

  Raises:
    AssertionError: If results differ, or the scanned program contains no scan.

  Example:
    >>> import jax.numpy as jnp
    >>> def loop(params, batch):
    ...   return batch['x'] * params['a'] * params['b'], 1.0
    >>> def scan(params, batch):
    ...   return jax.lax.scan(
    ...       lambda x, w: (x * w, None), batch['x'], params)[0], 1.0
    >>> scan_equals_loop(
    ...     scan, loop, {'a': jnp.array(2.0), 'b': jnp.array(3.0)},
    ...     lambda p: jnp.stack([p['a'], p['b']]), {'x': jnp.array(1.0)})
  """
  params = to_scan(loop_params)
  program = functools.partial(gradients.sums, scan)
  if 'scan' not in primitives(program, params, batch):
    raise AssertionError(
        'Nothing is scanned: the program contains no scan. Is the setting '
        'read?')
  got = gradients.with_gradient(scan)(params, batch)
  want = gradients.with_gradient(loop)(loop_params, batch)
  gradients.alive('scan_equals_loop', want)
  want['gradient'] = to_scan(want['gradient'])
  compare.close(
      'The loss with scanned layers', got, want, tolerance,
      'Look at the order in which the converter stacks layers (layer_10 comes '
      'after layer_9), and at what the scan passes from one to the next.')


def jit_equals_no_jit(
    function: Callable[..., Any], *args: Any, tolerance: float = _TOLERANCE
) -> None:
  """Checks that `jit` does not change a function, and that it has no state.

  Args:
    function: Any function of arrays that returns a tree of arrays.
    *args: Its arguments.
    tolerance: Largest relative error between the compiled function and it.

  Raises:
    AssertionError: If results differ, or if two compiled calls with the same
      arguments differ in any bit.

  Example:
    >>> jit_equals_no_jit(lambda x: x * 2, np.arange(3.0))
  """
  compiled = jax.jit(lambda *args: function(*args))  # Has its own jit cache.
  first, again = compiled(*args), compiled(*args)
  compare.identical(
      'The result of a second call', again, first,
      'The same arguments should give the same bits.')
  want = function(*args)
  compare.close(
      'The result under jit', first, want, tolerance,
      'Look for Python state and host randomness, which tracing freezes.')
  compare.close(
      'The result of a second call without jit', function(*args), want,
      tolerance, 'The function draws or remembers something: pass keys and '
      'state as arguments. Is dropout off in evaluation?')


def devices_equal_one(
    step: Callable[..., Any], state: Any, batch: Any, *,
    devices: Sequence[jax.Device] | None = None,
    tolerance: float = _TOLERANCE,
) -> None:
  """Checks that a step on many devices equals the step on one device.

  On a CPU, call `jax.config.update('jax_num_cpu_devices', 8)` before any other
  use of JAX.

  Args:
    step: `(state, batch, axis_name) -> tree`. With a name, each device holds a
      share of the rows and the step sums over that axis; with None the device
      holds all rows.
    state: The state, the same on every device.
    batch: A batch whose rows the devices can share evenly; the rows should have
      unequal sums of weights.
    devices: The devices; by default all local devices.
    tolerance: Largest relative error.

  Raises:
    AssertionError: If results differ from the single device's, or between
      devices.

  Example:
    >>> def step(state, batch, axis_name):
    ...   total = batch['x'].sum()
    ...   if axis_name is not None:
    ...     total = jax.lax.psum(total, axis_name)
    ...   return state + total
    >>> count = jax.local_device_count()
    >>> devices_equal_one(step, np.ones(()), {'x': np.ones((8 * count, 2))})
  """
  devices = list(devices or jax.local_devices())
  count = len(devices)
  shared = jax.tree.map(
      lambda x: x.reshape(count, x.shape[0] // count, *x.shape[1:]), batch)
  mapped = jax.pmap(
      lambda state, batch: step(state, batch, 'devices'),
      axis_name='devices', in_axes=(None, 0), devices=devices)
  want = jax.jit(lambda state, batch: step(state, batch, None))(state, batch)
  got = mapped(state, shared)
  for device in range(count):
    one, first = (jax.tree.map(lambda x: x[d], got) for d in (device, 0))
    compare.identical(
        f'The result on device {device}', one, first,
        'Devices drift apart: sum gradients and metrics over the axis.')
  compare.close(
      f'The result on {count} devices', first, want, tolerance,
      'Sum totals and weights over devices (psum) and divide once; a mean of '
      'the devices\' means (pmean) weighs tokens unequally.')
