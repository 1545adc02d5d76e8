"""Compares an imported model with `transformers`, on hot weights.

A case is a config of the reference. Its model gets random weights that make
every mistake visible, is saved as files, and is imported; then both have to
compute the same: logits of long texts, of padded batches and of a decoder with
a cache, gradients, and the parameters after an optimizer's step.
"""
from collections.abc import Callable, Mapping
import dataclasses
import json
import math
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy

from lmjax.core import trees
from lmjax.interop import importing
from lmjax.interop.formats import tensors as tensors_lib
from lmjax.interop.mapping import rows as rows_lib
from lmjax.nn import masks

LENGTH = 520  # Short texts do not show errors of rotary positions.
LOGITS = 5e-5  # Largest error, in standard deviations of the logits.
GRADIENTS = 1e-4  # Largest error, relative to a gradient's largest entry.


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


def torch_and_transformers() -> tuple[Any, Any]:
  """Returns the two libraries; skips the test without them."""
  return (pytest.importorskip('torch'), pytest.importorskip('transformers'))


def case(folder: pathlib.Path, config: Any, head: str, seed: int = 0,
         cooler: Mapping[str, float] | None = None, **changes: Any) -> Case:
  """Returns a reference model with hot weights, and its import.

  Args:
    folder: An empty folder for the files.
    config: A config of `transformers`.
    head: The name of its class, such as 'LlamaForCausalLM'.
    seed: Seed of the weights.
    cooler: Factors of weights, by a part of their names; see `heat`.
    **changes: Fields to change in the written config.json, to see that the
      comparison notices.
  """
  torch, transformers = torch_and_transformers()
  config._attn_implementation = 'eager'
  reference = getattr(transformers, head)(config).float().eval()
  heat(reference, seed, cooler)
  reference.save_pretrained(folder)
  if changes:
    path = folder / 'config.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
  del torch
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


def relative_error(found: Any, want: Any) -> float:
  """Returns the largest error, in standard deviations of what is wanted."""
  found, want = np.asarray(found, np.float64), np.asarray(want, np.float64)
  assert found.shape == want.shape, (found.shape, want.shape)
  return float(np.abs(found - want).max() / want.std())


def logits(found: Case, inputs_BT: np.ndarray, mask: Any = None) -> jax.Array:
  """Returns the imported model's logits."""
  with jax.default_matmul_precision('highest'):
    return jax.jit(lambda params, inputs_BT: found.imported.model.apply(
        {'params': params}, inputs_BT, mask)[0])(
            found.imported.params, jnp.asarray(inputs_BT))


def want_logits(found: Case, inputs_BT: np.ndarray, **inputs: Any
                ) -> np.ndarray:
  """Returns the reference's logits."""
  import torch
  with torch.no_grad():
    return found.reference(
        torch.from_numpy(inputs_BT), **inputs).logits.numpy()


def logits_error(found: Case, length: int = LENGTH) -> float:
  """Returns the relative error of the logits of one long text."""
  inputs_BT = ids(found.imported.config.vocab_size, length=length)
  return relative_error(
      logits(found, inputs_BT), want_logits(found, inputs_BT))


def check(found: Case, length: int = LENGTH) -> None:
  """Compares a decoder or encoder in every respect; see the module.

  The reference takes a step of training at the end.
  """
  assert logits_error(found, length) < LOGITS
  assert padded_error(found) < LOGITS
  if found.imported.config.traits.cached:
    assert cached_error(found) < LOGITS
  gradients, step = training_errors(found)
  assert gradients < GRADIENTS
  assert step < GRADIENTS


def padded_error(found: Case) -> float:
  """Returns the error of the logits of two texts, one of them padded."""
  import torch
  inputs_BT = ids(found.imported.config.vocab_size, rows=2, length=40)
  real_BT = np.ones(inputs_BT.shape, np.int64)
  real_BT[1, 25:] = 0
  mask = masks.make(
      jnp.arange(40)[None], jnp.asarray(real_BT, jnp.int32),
      causal=found.imported.config.traits.causal)
  got = np.asarray(logits(found, inputs_BT, mask))[real_BT > 0]
  want = want_logits(found, inputs_BT, attention_mask=torch.from_numpy(
      real_BT))[real_BT > 0]
  return relative_error(got, want)


def cached_error(found: Case, length: int = 96, first: int = 64) -> float:
  """Returns the error of logits from a cache: a prompt, then token by token."""
  model, params = found.imported.model, found.imported.params
  inputs_BT = ids(found.imported.config.vocab_size, length=length)
  cache = model.empty_cache(1, length)

  @jax.jit
  def continued(inputs_BT, cache, start):
    mask = masks.make(start + jnp.arange(inputs_BT.shape[1])[None])
    return model.apply({'params': params}, inputs_BT, mask, cache=cache)

  parts, start = [], 0
  with jax.default_matmul_precision('highest'):
    for end in (first, *range(first + 1, length + 1)):
      found_BTV, cache = continued(
          jnp.asarray(inputs_BT[:, start:end]), cache, start)
      parts.append(found_BTV)
      start = end
  return relative_error(
      np.concatenate(parts, 1), want_logits(found, inputs_BT))


def training_errors(found: Case, length: int = 64) -> tuple[float, float]:
  """Returns the largest errors of gradients, and of one step of AdamW.

  The loss is the mean cross-entropy of random labels.
  """
  import torch
  vocab_size = found.imported.config.vocab_size
  inputs_BT = ids(vocab_size, rows=2, length=length)
  labels_BT = ids(vocab_size, rows=2, length=length)[:, ::-1].copy()

  def mean_loss(params):
    logits_BTV = found.imported.model.apply(
        {'params': params}, jnp.asarray(inputs_BT))[0]
    return optax.softmax_cross_entropy_with_integer_labels(
        logits_BTV, labels_BT).mean()

  return step_errors(found, mean_loss, lambda: (
      torch.nn.functional.cross_entropy(
          found.reference(torch.from_numpy(inputs_BT)).logits.flatten(0, 1),
          torch.from_numpy(labels_BT).flatten())))


def step_errors(found: Case, loss: Callable[[Any], jax.Array],
                want_loss: Callable[[], Any]) -> tuple[float, float]:
  """Returns the largest errors of gradients, and of one step of AdamW.

  The reference's gradients are written by name, and read by the table of the
  family.

  Args:
    found: The case.
    loss: Function from the imported parameters to a loss.
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

  params = jax.tree.map(jnp.asarray, found.imported.params)
  with jax.default_matmul_precision('highest'):
    grads = jax.jit(jax.grad(loss))(params)
  adamw = optax.adamw(1e-2, eps=1e-3, weight_decay=0.01)
  updates, _ = adamw.update(grads, adamw.init(params), params)
  stepped = optax.apply_updates(params, updates)
  optimizer.step()
  want_stepped = _converted(found, dict(reference.named_parameters()))
  return _largest(grads, want), _largest(stepped, want_stepped)


def _converted(found: Case, tensors: dict[str, Any]) -> dict[str, np.ndarray]:
  """Returns the reference's tensors by parameter, by the family's rows."""
  named = {name: tensors_lib.Tensor.of(value.detach().numpy())
           for name, value in tensors.items()}
  imported = found.imported
  paths = dict(trees.items(imported.params)).keys()
  match = dataclasses.replace(imported.match, rows=tuple(
      row for row in imported.family.named(imported.config, named.keys())
      if named.keys() >= set(row.names) and paths >= set(row.paths)))
  return dict(rows_lib.read(match, named))


def _largest(tree: Any, want: dict[str, np.ndarray]) -> float:
  """Returns the largest error of any leaf, relative to its largest entry."""
  leaves = dict(trees.items(tree))
  assert leaves.keys() - want.keys() <= {'head/bias'}  # A buffer there.
  scale = max(np.abs(value).max() for value in want.values())
  return max(float(np.abs(np.asarray(leaves[path]) - value).max() / max(
      np.abs(value).max(), 1e-3 * scale)) for path, value in want.items())


def check_round_trip(found: Case) -> None:
  """Checks that the export has the tensors and the config of the import.

  The reference also has to load it, and to compute the same to the bit.
  """
  import torch
  imported = found.imported
  tensors = {name: tensor.read() for name, tensor in rows_lib.write(
      imported.family.rows(imported.config), imported.params)}
  want = dict(imported.source.tensors)
  for name in (*imported.match.ignored, *dict(imported.match.copies)):
    del want[name]
  assert tensors.keys() == want.keys()
  for name, tensor in tensors.items():
    np.testing.assert_array_equal(tensor, want[name].read())
  tree = imported.family.fields(imported.config)
  assert imported.family.config(tree, tensors.keys()) == imported.config
  tree |= {name: value for name, value in imported.source.config.items()
           if name.endswith('_token_id')}
  folder = found.folder / 'export'
  folder.mkdir()
  safetensors.numpy.save_file(
      tensors, folder / 'model.safetensors', {'format': 'pt'})
  (folder / 'config.json').write_text(json.dumps(tree))
  again, report = type(found.reference).from_pretrained(
      folder, attn_implementation='eager', dtype=torch.float32,
      output_loading_info=True)
  assert not any(report.values()), report
  inputs_BT = torch.from_numpy(ids(imported.config.vocab_size))
  with torch.no_grad():
    assert torch.equal(again.eval()(inputs_BT).logits,
                       found.reference(inputs_BT).logits)
