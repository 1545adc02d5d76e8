"""Compares an imported model with `transformers`, on hot weights.

A case is a config of the reference. Its model gets random weights that make
every mistake visible, is saved as files, and is imported; then both have to
compute the same: outputs of long texts, in a batch with padding, logits of a
decoder with a cache, gradients, and the parameters after an optimizer's step.
"""
from collections.abc import Callable, Mapping
import dataclasses
import json
import math
import pathlib
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.core import trees
from lmjax.interop import importing
from lmjax.interop.formats import tensors as tensors_lib
from lmjax.interop.mapping import rows as rows_lib

LENGTH = 520  # Short texts do not show errors of rotary positions.
LOGITS = 5e-5  # Largest error, in standard deviations of the logits.
GRADIENTS = 1e-4  # Largest error, relative to a gradient's largest entry.
_REAL = 300  # Tokens of the shorter text of a batch.

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Case:
  """A reference model, and the same model imported from its files.

  Attributes:
    reference: The PyTorch module, in float32 and evaluation mode.
    imported: The imported model.
    folder: The folder with the reference's files.
  """
  reference: Any
  imported: importing.Imported
  folder: pathlib.Path


class Kind(Protocol):
  """What models of a kind read and compute: a module such as `parity_pairs`."""

  def inputs(self, config: Any, padded: bool) -> dict[str, np.ndarray]:
    """Returns a long text; if `padded`, two texts, one of them padded."""

  def outputs(self, model: Any, inputs: Arrays) -> dict[str, jax.Array]:
    """Returns all outputs of the bound, imported model."""

  def want(self, found: Case, inputs: Arrays) -> dict[str, Any]:
    """Returns the reference's outputs by the same names."""

  def counts(self, inputs: Arrays) -> Arrays:
    """Returns where outputs count; those that are not named count all over."""

  def cached_error(self, found: Case) -> float:
    """Returns the error of logits from a cache, if the model has one."""

  def check_round_trip(self, found: Case) -> None:
    """Checks that an export has the tensors and the config of the import."""


def torch_and_transformers() -> tuple[Any, Any]:
  """Returns the two libraries; skips the test without them."""
  torch = pytest.importorskip('torch')
  torch.set_num_threads(1)  # Small tensors are not worth the others' waiting.
  return torch, pytest.importorskip('transformers')


def case(folder: pathlib.Path, config: Any, head: str, seed: int = 0,
         cooler: Mapping[str, float] | None = None, **changes: Any) -> Case:
  """Returns a reference model with hot weights, and its import.

  Args:
    folder: An empty folder for the files.
    config: A config of `transformers`.
    head: The name of its class, such as 'LlamaForCausalLM'.
    seed: Seed of the weights.
    cooler: Factors of weights, by a part of their names; see `heat`.
    **changes: Fields to change in the written config.json.
  """
  _, transformers = torch_and_transformers()
  reference = getattr(transformers, head)(config).float().eval()
  heat(reference, seed, cooler)
  reference.save_pretrained(folder)
  if changes:
    path = folder / 'config.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
  return Case(reference, importing.load(folder), folder)


def heat(module: Any, seed: int,
         cooler: Mapping[str, float] | None = None) -> None:
  """Draws a PyTorch module's parameters so that all of them matter.

  See `lmjax.testing.hot`. Parameters that are tied are drawn once; those that
  are constants keep their values.

  Args:
    module: The module.
    seed: Seed of the draws.
    cooler: Factors of matrices, by a part of their names, for matrices that
      would otherwise make the model depend on the rounding of float32.
  """
  import torch
  rng = np.random.default_rng(seed)
  drawn = [(name, parameter) for name, parameter in module.named_parameters()
           if parameter.requires_grad]
  drawn += [(name, buffer) for name, buffer in module.named_buffers()
            if name == 'final_logits_bias']
  with torch.no_grad():
    for name, parameter in drawn:
      noise = rng.standard_normal(parameter.shape)
      if parameter.ndim == 1:
        around = 0.0 if name.endswith('bias') else float(
            parameter.mean().round())  # 1, or 0 where norms are around one.
        noise = around + 0.1 * noise
      else:
        noise *= 0.15 * math.prod(
            factor for part, factor in (cooler or {}).items() if part in name)
      parameter.copy_(torch.from_numpy(noise))


def ids(vocab_size: int, rows: int = 1, length: int = LENGTH) -> np.ndarray:
  """Returns random ids, [rows, length], without the first few, the specials."""
  return np.random.default_rng(1).integers(
      min(5, vocab_size - 1), vocab_size, (rows, length))


def real(inputs_BT: np.ndarray) -> np.ndarray:
  """Returns which tokens of two texts are no padding: all of the first."""
  real_BT = np.ones(inputs_BT.shape, np.int64)
  real_BT[1, _REAL:] = 0
  return real_BT


def relative_error(found: Any, want: Any) -> float:
  """Returns the largest error, in standard deviations of what is wanted."""
  found, want = np.asarray(found, np.float64), np.asarray(want, np.float64)
  assert found.shape == want.shape, (found.shape, want.shape)
  return float(np.abs(found - want).max() / want.std())


def logits(found: Case, inputs_BT: np.ndarray) -> jax.Array:
  """Returns the imported model's logits."""
  with jax.default_matmul_precision('highest'):
    return jax.jit(lambda params, inputs_BT: found.imported.model.apply(
        {'params': params}, inputs_BT)[0])(
            found.imported.params, jnp.asarray(inputs_BT))


def tensors(arrays: Arrays) -> dict[str, Any]:
  """Returns arrays as tensors of PyTorch."""
  import torch
  return {name: torch.from_numpy(array) for name, array in arrays.items()}


def computed(want: Callable[[Case, Arrays], dict[str, Any]], found: Case,
             inputs: Arrays) -> dict[str, np.ndarray]:
  """Returns the reference's outputs, by the function of a kind, as arrays."""
  import torch
  with torch.no_grad():
    return {name: value.numpy() for name, value in want(found, inputs).items()}


def error(kind: Kind, imported: importing.Imported, inputs: Arrays,
          want: Arrays) -> float:
  """Returns the largest error of any output, relative to its deviation."""
  with jax.default_matmul_precision('highest'):
    outputs = jax.jit(lambda params, inputs: imported.model.apply(
        {'params': params}, method=lambda model: kind.outputs(model, inputs)))(
            imported.params, inputs)
  return _furthest(outputs, want, kind.counts(inputs))


def check(kind: Kind, found: Case) -> None:
  """Compares a model in every respect; see the module.

  Args:
    kind: The kind of the model.
    found: The case; the reference takes a step of training at the end.
  """
  inputs = kind.inputs(found.imported.config, padded=True)
  counts = kind.counts(inputs)
  want = computed(kind.want, found, inputs)
  noise = {name: np.random.default_rng(0).normal(size=value.shape).astype(
      np.float32) for name, value in want.items()}

  def loss(params, inputs):
    outputs = found.imported.model.apply(
        {'params': params}, method=lambda model: kind.outputs(model, inputs))
    return _distance(outputs, noise, counts), outputs

  with jax.default_matmul_precision('highest'):
    grads, outputs = jax.jit(jax.grad(loss, has_aux=True))(
        found.imported.params, inputs)
  _check('outputs', _furthest(outputs, want, counts), LOGITS)
  if found.imported.config.traits.cached:
    _check('outputs from a cache', kind.cached_error(found), LOGITS)
  kind.check_round_trip(found)
  gradients, step = step_errors(found, grads, lambda: _distance(
      kind.want(found, inputs), tensors(noise), tensors(counts)))
  _check('gradients', gradients, GRADIENTS)
  _check('parameters after a step', step, GRADIENTS)


def _check(what: str, found: float, largest: float) -> None:
  assert found < largest, (
      f'The error of {what} is {found:.2g}; it should be below {largest:.0e}.')


def step_errors(found: Case, grads: Any, want_loss: Callable[[], Any]
                ) -> tuple[float, float]:
  """Returns the largest errors of gradients, and of one step of AdamW.

  The reference's gradients are written by name, and read by the table of the
  family.

  Args:
    found: The case.
    grads: The gradients of a loss of the imported parameters.
    want_loss: Function that returns the same loss of the reference.
  """
  import torch
  reference = found.reference
  optimizer = torch.optim.AdamW(
      reference.parameters(), lr=1e-2, eps=1e-3, weight_decay=0.01)
  optimizer.zero_grad()
  want_loss().backward()
  want = _converted(found, {
      name: torch.zeros_like(parameter) if parameter.grad is None
      else parameter.grad for name, parameter in reference.named_parameters()})
  optimizer.step()
  want_stepped = _converted(found, dict(reference.named_parameters()))
  grads = dict(trees.items(jax.device_get(grads)))
  stepped = _stepped(
      dict(trees.items(jax.device_get(found.imported.params))), grads)
  return _largest(grads, want), _largest(stepped, want_stepped)


@jax.jit
def _adamw(params_P: jax.Array, grads_P: jax.Array) -> jax.Array:
  adamw = optax.adamw(1e-2, eps=1e-3, weight_decay=0.01)
  updates_P, _ = adamw.update(grads_P, adamw.init(params_P), params_P)
  return optax.apply_updates(params_P, updates_P)


def _stepped(params: Arrays, grads: Arrays) -> dict[str, np.ndarray]:
  """Returns parameters after a step.

  All are put into one array, whose size few cases do not share, so that the
  step is seldom compiled.
  """
  sizes = [value.size for value in params.values()]
  unused = np.zeros(-sum(sizes) % 2**17, np.float32)
  flat_P = np.asarray(_adamw(*(np.concatenate(
      [*(tree[path].ravel() for path in params), unused])
                               for tree in (params, grads))))
  parts = np.split(flat_P, np.cumsum(sizes))
  return {path: part.reshape(value.shape)
          for (path, value), part in zip(params.items(), parts)}


def _distance(outputs, noise, counts):
  """Returns the mean squared distance of outputs; arrays of either library."""
  total = 0.0
  for name in noise:
    square = (outputs[name] - noise[name]) ** 2
    if name in counts:
      axes = (1,) * (square.ndim - counts[name].ndim)
      square = square * counts[name].reshape(*counts[name].shape, *axes)
    total += square.mean()
  return total


def _furthest(outputs: Any, want: Arrays, counts: Arrays) -> float:
  """Returns the largest error of any output, where it counts."""
  errors = []
  for name, value in want.items():
    of = counts[name] > 0 if name in counts else slice(None)
    errors.append(relative_error(np.asarray(outputs[name])[of], value[of]))
  return max(errors)


def _converted(found: Case, named: dict[str, Any]) -> dict[str, np.ndarray]:
  """Returns the reference's tensors by parameter, by the family's rows."""
  named = {name: tensors_lib.Tensor.of(value.detach().numpy())
           for name, value in named.items()}
  imported = found.imported
  paths = dict(trees.items(imported.params)).keys()
  match = dataclasses.replace(imported.match, rows=tuple(
      row for row in imported.family.named(imported.config, named.keys())
      if named.keys() >= set(row.names) and paths >= set(row.paths)))
  return dict(rows_lib.read(match, named))


def _largest(leaves: Arrays, want: Arrays) -> float:
  """Returns the largest error of any leaf, relative to its largest entry."""
  assert leaves.keys() - want.keys() <= {'head/bias'}  # A buffer there.
  scale = max(np.abs(value).max() for value in want.values())
  return max(float(np.abs(leaves[path] - value).max() / max(
      np.abs(value).max(), 1e-3 * scale)) for path, value in want.items())
