"""Compares imported encoders with `transformers`; see `parity`.

All outputs that both have are compared: hidden states, logits of tokens, pooled
vectors, logits of pairs, and logits that tokens were replaced.
"""
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.interop.mapping import rows as rows_lib
from lmjax.nn import masks
from tests.reference import parity

# The reference's names of outputs. Those of pairs and pooled vectors are
# [B, ...], and all others [B, T, ...].
_NAMES = {'last_hidden_state': 'hidden', 'pooler_output': 'pooled',
          'prediction_logits': 'tokens', 'seq_relationship_logits': 'pairs',
          'sop_logits': 'pairs'}


def check(found: parity.Case, length: int = parity.LENGTH) -> None:
  """Compares an encoder in every respect; see the module."""
  assert error(found, length) < parity.LOGITS
  assert padded_error(found) < parity.LOGITS
  gradients, step = training_errors(found)
  assert gradients < parity.GRADIENTS
  assert step < parity.GRADIENTS


def error(found: parity.Case, length: int = parity.LENGTH) -> float:
  """Returns the largest error of any output for one long text."""
  inputs_BT = parity.ids(found.imported.config.vocab_size, length=length)
  return _largest(found, inputs_BT, np.ones_like(inputs_BT))


def padded_error(found: parity.Case) -> float:
  """Returns the error for pairs of texts, one of them padded."""
  inputs_BT = parity.ids(found.imported.config.vocab_size, rows=2, length=40)
  real_BT = np.ones(inputs_BT.shape, np.int64)
  real_BT[1, 25:] = 0
  types = found.imported.config.traits.types
  types_BT = (np.arange(40)[None] > np.array([[12], [20]])).astype(np.int64)
  return _largest(found, inputs_BT, real_BT, types_BT if types > 1 else None)


def training_errors(found: parity.Case, length: int = 48
                    ) -> tuple[float, float]:
  """Returns the errors of gradients and of a step, of a loss of all outputs."""
  import torch
  inputs_BT = parity.ids(
      found.imported.config.vocab_size, rows=2, length=length)
  noise = {name: np.random.default_rng(0).normal(size=value.shape).astype(
      np.float32) for name, value in _want(found, inputs_BT).items()}

  def loss(params):
    outputs = _outputs(found, params, inputs_BT)
    return sum(jnp.mean((outputs[name] - noise[name]) ** 2) for name in noise)

  def want_loss():
    outputs = _want(found, inputs_BT)
    return sum(torch.mean((outputs[name] - torch.from_numpy(noise[name])) ** 2)
               for name in noise)

  return parity.step_errors(found, loss, want_loss)


def check_round_trip(found: parity.Case) -> None:
  """Checks that an export has the tensors and the config of the import."""
  import torch
  other = check_tensors(found)
  inputs_BT = parity.ids(found.imported.config.vocab_size)
  with torch.no_grad():
    outputs, others = (_want(each, inputs_BT) for each in (found, other))
  for name, value in outputs.items():  # Activations may be other operations.
    assert parity.relative_error(others[name], value) < parity.LOGITS


def check_tensors(found: parity.Case) -> parity.Case:
  """Checks the tensors and the config of an export; returns it as a case."""
  import torch
  imported = found.imported
  tensors = dict(rows_lib.write(
      imported.family.rows(imported.config), imported.params))
  want = found.reference.state_dict()
  bare = not any(name.startswith(imported.family.base) for name in want)
  base = imported.family.base if bare else ''  # A model without a head.
  copies = {*imported.family.copies, *imported.family.constants}
  assert tensors.keys() == {base + name for name in want} - copies
  for name, tensor in tensors.items():
    assert torch.equal(
        torch.from_numpy(tensor.read()), want[name.removeprefix(base)])
  tree = imported.family.fields(imported.config)
  assert imported.family.config(tree, tensors.keys()) == imported.config
  assert tree['architectures'] == [type(found.reference).__name__]
  ids = {name: value for name, value in found.reference.config.to_dict().items()
         if name.endswith('_token_id')}  # An export has its tokenizer's.
  again = type(found.reference.config)(**ids | json.loads(json.dumps(tree)))
  again._attn_implementation = 'eager'
  other = type(found.reference)(again).eval()
  left = other.load_state_dict({
      name.removeprefix(base): torch.from_numpy(tensor.read())
      for name, tensor in tensors.items()}, strict=False)
  assert not left.unexpected_keys
  return parity.Case(other, imported, found.folder)


def _largest(found, inputs_BT, real_BT, types_BT=None) -> float:
  """Returns the largest error of any output; padding does not count."""
  import torch
  outputs = jax.jit(lambda params: _outputs(
      found, params, inputs_BT, real_BT, types_BT))
  with jax.default_matmul_precision('highest'):
    got = outputs(found.imported.params)
  with torch.no_grad():
    want = _want(found, inputs_BT, real_BT, types_BT)
  largest = 0.0
  for name, value in want.items():
    of = slice(None) if name in ('pooled', 'pairs') else real_BT > 0
    largest = max(largest, parity.relative_error(
        np.asarray(got[name])[of], value.numpy()[of]))
  return largest


def _outputs(found, params, inputs_BT, real_BT=None, types_BT=None
             ) -> dict[str, Any]:
  """Returns the imported model's outputs by name."""
  config = found.imported.config
  inputs_BT = jnp.asarray(inputs_BT)
  mask = masks.make(
      jnp.arange(inputs_BT.shape[1])[None],
      None if real_BT is None else jnp.asarray(real_BT, jnp.int32),
      causal=False)
  types_BT = None if types_BT is None else jnp.asarray(types_BT)

  def run(model):
    x_BTD, _ = model.hidden(inputs_BT, mask, types_BT=types_BT)
    outputs = {'hidden': x_BTD}
    if config.tokens is not None:
      outputs['tokens'] = model.logits(x_BTD)
    if config.pooler is not None:
      outputs['pooled'] = model.pooled(x_BTD)
      if config.pooler.pairs:
        outputs['pairs'] = model.pair_logits(x_BTD)
    if config.replaced is not None:
      outputs['replaced'] = model.replaced_logits(x_BTD)
    return outputs

  return found.imported.model.apply({'params': params}, method=run)


def _want(found, inputs_BT, real_BT=None, types_BT=None) -> dict[str, Any]:
  """Returns the reference's outputs by name."""
  import torch
  given = {'attention_mask': real_BT, 'token_type_ids': types_BT}
  result = found.reference(torch.from_numpy(inputs_BT), **{
      name: torch.from_numpy(value) for name, value in given.items()
      if value is not None})
  config = found.imported.config
  head = ('tokens' if config.tokens is not None else
          'replaced' if config.replaced is not None else 'pairs')
  names = {**_NAMES, 'logits': head}
  return {names[name]: value for name, value in result.items()
          if name in names and value is not None}
