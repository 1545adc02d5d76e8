"""Compares imported decoders with `transformers`; see `parity`."""
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from lmjax.interop.mapping import rows as rows_lib
from lmjax.nn import masks
from tests.reference import parity


def inputs(config: Any, padded: bool) -> dict[str, np.ndarray]:
  """Returns ids, and which are real if `padded`; see `parity.Kind`."""
  inputs_BT = parity.ids(config.vocab_size, rows=1 + padded)
  found = {'inputs_BT': inputs_BT}
  return found | {'real_BT': parity.real(inputs_BT)} if padded else found


def outputs(model: Any, inputs: parity.Arrays) -> dict[str, jax.Array]:
  """Returns the imported model's logits."""
  inputs_BT, real_BT = inputs['inputs_BT'], inputs.get('real_BT')
  mask = None if real_BT is None else masks.make(
      jnp.arange(inputs_BT.shape[1])[None], jnp.asarray(real_BT, jnp.int32))
  return {'logits': model(jnp.asarray(inputs_BT), mask)[0]}


def want(found: parity.Case, inputs: parity.Arrays) -> dict[str, Any]:
  """Returns the reference's logits."""
  given = parity.tensors(inputs)
  result = found.reference(
      given['inputs_BT'], attention_mask=given.get('real_BT'))
  return {'logits': result.logits}


def counts(inputs: parity.Arrays) -> parity.Arrays:
  """Returns which tokens count."""
  return {'logits': inputs['real_BT']} if 'real_BT' in inputs else {}


def cached_error(found: parity.Case, length: int = 96, first: int = 64
                 ) -> float:
  """Returns the error of logits from a cache: a prompt, then token by token."""
  model, params = found.imported.model, found.imported.params
  inputs_BT = parity.ids(found.imported.config.vocab_size, length=length)
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
  want_BTV = _want(found, inputs_BT)
  return parity.relative_error(np.concatenate(parts, 1), want_BTV)


def check_round_trip(found: parity.Case) -> None:
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
      folder, dtype=torch.float32, output_loading_info=True,
      attn_implementation=found.reference.config._attn_implementation)
  assert not any(report.values()), report
  inputs_BT = parity.ids(imported.config.vocab_size)
  np.testing.assert_array_equal(
      _want(parity.Case(again.eval(), imported, folder), inputs_BT),
      _want(found, inputs_BT))


def _want(found: parity.Case, inputs_BT: np.ndarray) -> np.ndarray:
  return parity.computed(want, found, {'inputs_BT': inputs_BT})['logits']
