"""Compares imported encoder-decoders with `transformers`; see `parity`."""
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.nn import masks
from tests.reference import parity
from tests.reference import parity_encoders


def inputs(config: Any, padded: bool, source: int = parity.LENGTH,
           target: int = parity.LENGTH - 20) -> dict[str, np.ndarray]:
  """Returns ids of sources and targets; the second source is padded."""
  rows = 1 + padded
  source_BS = parity.ids(config.vocab_size, rows, source)
  target_BT = parity.ids(config.vocab_size, rows, target)[:, ::-1].copy()
  found = {'source_BS': source_BS, 'target_BT': target_BT}
  return found | {'real_BS': parity.real(source_BS)} if padded else found


def outputs(model: Any, inputs: parity.Arrays) -> dict[str, jax.Array]:
  """Returns the imported model's logits."""
  source_BS, real_BS = inputs['source_BS'], inputs.get('real_BS')
  mask = None if real_BS is None else masks.make(
      jnp.arange(source_BS.shape[1])[None], jnp.asarray(real_BS, jnp.int32),
      causal=False)
  return {'logits': model(
      jnp.asarray(inputs['target_BT']),
      encoder_inputs_BS=jnp.asarray(source_BS), encoder_mask=mask)[0]}


def want(found: parity.Case, inputs: parity.Arrays) -> dict[str, Any]:
  """Returns the reference's logits."""
  given = parity.tensors(inputs)
  result = found.reference(
      input_ids=given['source_BS'], attention_mask=given.get('real_BS'),
      decoder_input_ids=given['target_BT'])
  return {'logits': result.logits}


def counts(inputs: parity.Arrays) -> parity.Arrays:
  """Returns that every token of the targets counts."""
  del inputs
  return {}


def cached_error(found: parity.Case, length: int = 48) -> float:
  """Returns the error of logits from a cache, token by token."""
  text = inputs(found.imported.config, False, 40, length)
  model, params = found.imported.model, {'params': found.imported.params}

  @jax.jit
  def begun(source_BS):
    return model.apply(params, source_BS, method='encode')

  @jax.jit
  def continued(inputs_BT, memory_BSD, cache, start):
    mask = masks.make(start + jnp.arange(1)[None])
    x_BTD, cache = model.apply(
        params, inputs_BT, mask, memory_BSD=memory_BSD, cache=cache,
        method='hidden')
    return model.apply(params, x_BTD, method='logits'), cache

  parts, cache = [], model.empty_cache(1, length)
  with jax.default_matmul_precision('highest'):
    memory_BSD = begun(jnp.asarray(text['source_BS']))
    for start in range(length):
      token_BT = jnp.asarray(text['target_BT'][:, start:start + 1])
      found_BTV, cache = continued(token_BT, memory_BSD, cache, start)
      parts.append(found_BTV)
      memory_BSD = None  # The cache has its keys and values.
  return parity.relative_error(np.concatenate(parts, 1), _want(found, text))


def check_round_trip(found: parity.Case) -> None:
  """Checks that an export has the tensors and the config of the import."""
  other = parity_encoders.check_tensors(found)
  text = inputs(found.imported.config, False, 40, 30)
  assert parity.relative_error(
      _want(other, text), _want(found, text)) < parity.LOGITS


def _want(found: parity.Case, text: parity.Arrays) -> np.ndarray:
  return parity.computed(want, found, text)['logits']
