"""Compares an imported XLNet with `transformers`, in both of its streams."""
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.nn import masks
from tests.reference import parity
from tests.reference import parity_encoders

_QUERIES = 64  # Tokens of the texts that are predicted in another order.


def inputs(config: Any, padded: bool) -> dict[str, np.ndarray]:
  """Returns ids; if `padded`, also texts whose order is another."""
  found = parity_encoders.inputs(config, padded)
  if padded:
    found['queries_BT'] = parity.ids(config.vocab_size, 2, _QUERIES)
    found['order_BT'] = np.stack([
        np.random.default_rng(row).permutation(_QUERIES) for row in range(2)])
  return found


def outputs(model: Any, inputs: parity.Arrays) -> dict[str, jax.Array]:
  """Returns the logits of the content stream, and of the query stream."""
  inputs_BT, real_BT = inputs['inputs_BT'], inputs.get('real_BT')
  mask = None if real_BT is None else masks.make(
      jnp.arange(inputs_BT.shape[1])[None], jnp.asarray(real_BT), causal=False)
  found = {'content': model.logits(model.encode(
      jnp.asarray(inputs_BT), mask, types_BT=inputs.get('types_BT')))}
  if 'order_BT' in inputs:
    found['query'] = model(
        jnp.asarray(inputs['queries_BT']), order_BT=inputs['order_BT'])[0]
  return found


def want(found: parity.Case, inputs: parity.Arrays) -> dict[str, Any]:
  """Returns the reference's logits of both streams."""
  given = parity.tensors(inputs)
  result = {'content': found.reference(
      given['inputs_BT'], attention_mask=given.get('real_BT'),
      token_type_ids=given.get('types_BT')).logits}
  if 'order_BT' in inputs:
    order_BT = inputs['order_BT']
    unseen_BTS = order_BT[:, :, None] <= order_BT[:, None]
    targets_BTS = np.broadcast_to(np.eye(order_BT.shape[1]), unseen_BTS.shape)
    orders = parity.tensors({
        'perm_mask': unseen_BTS.astype(np.float32),
        'target_mapping': targets_BTS.astype(np.float32)})
    result['query'] = found.reference(given['queries_BT'], **orders).logits
  return result


def counts(inputs: parity.Arrays) -> parity.Arrays:
  """Returns which tokens count.

  The reference averages masked values where a query sees no key.
  """
  return {'content': inputs['real_BT'],
          'query': (inputs['order_BT'] > 0).astype(np.int64)
          } if 'order_BT' in inputs else {}


def check_round_trip(found: parity.Case) -> None:
  """Checks that an export has the tensors and the config of the import."""
  parity_encoders.check_tensors(found)
