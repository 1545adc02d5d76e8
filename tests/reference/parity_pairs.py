"""Compares imported encoder-decoders with `transformers`; see `parity`."""
import jax
import jax.numpy as jnp
import numpy as np
import optax

from lmjax.nn import masks
from tests.reference import parity
from tests.reference import parity_encoders


def check(found: parity.Case, length: int = parity.LENGTH) -> None:
  """Compares an encoder-decoder in every respect; see the module."""
  assert error(found, length) < parity.LOGITS
  assert padded_error(found) < parity.LOGITS
  assert cached_error(found) < parity.LOGITS
  gradients, step = training_errors(found)
  assert gradients < parity.GRADIENTS
  assert step < parity.GRADIENTS


def error(found: parity.Case, length: int = parity.LENGTH) -> float:
  """Returns the error of logits for one long source and one long target."""
  source_BS, target_BT = _texts(found, 1, length, length - 20)
  return parity.relative_error(
      _logits(found, target_BT, source_BS),
      _want(found, target_BT, source_BS))


def padded_error(found: parity.Case) -> float:
  """Returns the error for two sources, one of them padded."""
  source_BS, target_BT = _texts(found, 2, 40, 30)
  real_BS = np.ones(source_BS.shape, np.int64)
  real_BS[1, 25:] = 0
  return parity.relative_error(
      _logits(found, target_BT, source_BS, real_BS),
      _want(found, target_BT, source_BS, real_BS))


def cached_error(found: parity.Case, length: int = 48) -> float:
  """Returns the error of logits from a cache, token by token."""
  source_BS, target_BT = _texts(found, 1, 40, length)
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
    memory_BSD = begun(jnp.asarray(source_BS))
    for start in range(length):
      token_BT = jnp.asarray(target_BT[:, start:start + 1])
      found_BTV, cache = continued(token_BT, memory_BSD, cache, start)
      parts.append(found_BTV)
      memory_BSD = None  # The cache has its keys and values.
  return parity.relative_error(
      np.concatenate(parts, 1), _want(found, target_BT, source_BS))


def training_errors(found: parity.Case) -> tuple[float, float]:
  """Returns the errors of gradients and of a step of AdamW."""
  import torch
  source_BS, target_BT = _texts(found, 2, 40, 30)
  labels_BT = target_BT[:, ::-1].copy()

  def loss(params):
    logits_BTV, _ = found.imported.model.apply(
        {'params': params}, jnp.asarray(target_BT),
        encoder_inputs_BS=jnp.asarray(source_BS))
    return optax.softmax_cross_entropy_with_integer_labels(
        logits_BTV, labels_BT).mean()

  return parity.step_errors(found, loss, lambda: (
      torch.nn.functional.cross_entropy(
          found.reference(
              input_ids=torch.from_numpy(source_BS),
              decoder_input_ids=torch.from_numpy(target_BT)
          ).logits.flatten(0, 1), torch.from_numpy(labels_BT).flatten())))


def check_round_trip(found: parity.Case) -> None:
  """Checks that an export has the tensors and the config of the import."""
  other = parity_encoders.check_tensors(found)
  source_BS, target_BT = _texts(found, 1, 40, 30)
  assert parity.relative_error(
      _want(other, target_BT, source_BS),
      _want(found, target_BT, source_BS)) < parity.LOGITS


def _texts(found, rows, source, target):
  """Returns random ids of a source and a target."""
  vocab_size = found.imported.config.vocab_size
  source_BS = parity.ids(vocab_size, rows, source)
  return source_BS, parity.ids(vocab_size, rows, target)[:, ::-1].copy()


def _logits(found, target_BT, source_BS, real_BS=None):
  """Returns the imported model's logits."""
  mask = None if real_BS is None else masks.make(
      jnp.arange(source_BS.shape[1])[None], jnp.asarray(real_BS, jnp.int32),
      causal=False)
  with jax.default_matmul_precision('highest'):
    return jax.jit(lambda params: found.imported.model.apply(
        {'params': params}, jnp.asarray(target_BT),
        encoder_inputs_BS=jnp.asarray(source_BS), encoder_mask=mask)[0])(
            found.imported.params)


def _want(found, target_BT, source_BS, real_BS=None):
  """Returns the reference's logits."""
  import torch
  real_BS = np.ones_like(source_BS) if real_BS is None else real_BS
  with torch.no_grad():
    return found.reference(
        input_ids=torch.from_numpy(source_BS),
        attention_mask=torch.from_numpy(real_BS),
        decoder_input_ids=torch.from_numpy(target_BT)).logits.numpy()
