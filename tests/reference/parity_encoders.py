"""Compares imported encoders with `transformers`; see `parity`.

All outputs that both have are compared: hidden states, logits of tokens, pooled
vectors, logits of pairs, and logits that tokens were replaced.
"""
import json
from typing import Any

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


def inputs(config: Any, padded: bool) -> dict[str, np.ndarray]:
  """Returns ids; if `padded`, also which are real and which of a second text.
  """
  inputs_BT = parity.ids(config.vocab_size, rows=1 + padded)
  found = {'inputs_BT': inputs_BT}
  if padded:
    found['real_BT'] = parity.real(inputs_BT)
  if padded and config.traits.types > 1:
    second_BT = np.arange(parity.LENGTH)[None] > np.array([[12], [20]])
    found['types_BT'] = second_BT.astype(np.int64)
  return found


def outputs(model: Any, inputs: parity.Arrays) -> dict[str, Any]:
  """Returns the imported model's outputs by name."""
  config = model.config
  inputs_BT, real_BT = inputs['inputs_BT'], inputs.get('real_BT')
  mask = masks.make(
      jnp.arange(inputs_BT.shape[1])[None],
      None if real_BT is None else jnp.asarray(real_BT, jnp.int32),
      causal=False)
  x_BTD, _ = model.hidden(inputs_BT, mask, types_BT=inputs.get('types_BT'))
  found = {'hidden': x_BTD}
  if config.tokens is not None:
    found['tokens'] = model.logits(x_BTD)
  if config.pooler is not None:
    found['pooled'] = model.pooled(x_BTD)
    if config.pooler.pairs:
      found['pairs'] = model.pair_logits(x_BTD)
  if config.replaced is not None:
    found['replaced'] = model.replaced_logits(x_BTD)
  return found


def want(found: parity.Case, inputs: parity.Arrays) -> dict[str, Any]:
  """Returns the reference's outputs by name."""
  given = parity.tensors(inputs)
  optional = {'attention_mask': given.get('real_BT'),
              'token_type_ids': given.get('types_BT')}
  result = found.reference(given['inputs_BT'], **{
      name: value for name, value in optional.items() if value is not None})
  config = found.imported.config
  head = ('tokens' if config.tokens is not None else
          'replaced' if config.replaced is not None else 'pairs')
  names = {**_NAMES, 'logits': head}
  return {names[name]: value for name, value in result.items()
          if name in names and value is not None}


def counts(inputs: parity.Arrays) -> parity.Arrays:
  """Returns which tokens count in the outputs that tokens have."""
  return {} if 'real_BT' not in inputs else dict.fromkeys(
      ('hidden', 'tokens', 'replaced'), inputs['real_BT'])


def check_round_trip(found: parity.Case) -> None:
  """Checks that an export has the tensors and the config of the import."""
  other = check_tensors(found)
  text = inputs(found.imported.config, padded=False)
  values, others = (
      parity.computed(want, each, text) for each in (found, other))
  for name, value in values.items():  # Activations may be other operations.
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
