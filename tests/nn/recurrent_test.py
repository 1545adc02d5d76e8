"""LSTM and GRU against PyTorch, and what documents and padding do to them."""
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.nn import layers
from lmjax.nn import recurrent
from lmjax.testing import hot

LSTM, GRU = recurrent.LSTMConfig(5), recurrent.GRUConfig(5)
BOTH = pytest.mark.parametrize('config', [LSTM, GRU], ids=['lstm', 'gru'])
X_BTD = np.random.default_rng(0).standard_normal((2, 7, 3)).astype(np.float32)


def made(config, x_BTD=X_BTD, **policy):
  layer = config.build(layers.Policy(**policy))
  variables = jax.eval_shape(layer.init, jax.random.key(0), x_BTD)
  return layer, {'params': hot.hot_params(variables['params'], std=0.5)}


def state_of(config, batch=2, seed=1):
  draw = np.random.default_rng(seed).standard_normal
  return tuple(jnp.asarray(0.5 * draw(s.shape), jnp.float32)
               for s in config.empty_state(batch))


@BOTH
def test_values_and_gradients_are_those_of_torch(config):
  torch = pytest.importorskip('torch')
  layer, variables = made(config)
  state = state_of(config)
  weights_BTH = np.random.default_rng(2).standard_normal((2, 7, 5))

  @jax.jit
  @functools.partial(jax.value_and_grad, argnums=(0, 1, 2), has_aux=True)
  def loss(variables, x_BTD, state):
    h_BTH, after = layer.apply(variables, x_BTD, state)
    total = jnp.sum(h_BTH * weights_BTH.astype(np.float32))
    return total + sum(jnp.sum(jnp.square(part)) for part in after), h_BTH

  (_, h_BTH), (dvariables, dx_BTD, dstate) = loss(variables, X_BTD, state)

  kind = torch.nn.LSTM if config is LSTM else torch.nn.GRU
  peer = kind(3, 5, batch_first=True)
  params = variables['params']
  with torch.no_grad():
    peer.weight_ih_l0[:] = torch.tensor(np.array(params['input']['kernel'].T))
    peer.bias_ih_l0[:] = torch.tensor(np.array(params['input']['bias']))
    peer.weight_hh_l0[:] = torch.tensor(np.array(params['recurrent_kernel'].T))
    peer.bias_hh_l0[:] = torch.tensor(
        np.array(params.get('recurrent_bias', np.zeros(20))))
  x = torch.tensor(X_BTD, requires_grad=True)
  first = [torch.tensor(np.array(s)[None], requires_grad=True) for s in state]
  y, after = peer(x, tuple(first) if config is LSTM else first[0])
  after = after if config is LSTM else (after,)
  ((y * torch.tensor(weights_BTH, dtype=torch.float32)).sum()
   + sum((part**2).sum() for part in after)).backward()

  close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
  close(h_BTH, y.detach())
  close(dx_BTD, x.grad)
  close(dvariables['params']['input']['kernel'].T, peer.weight_ih_l0.grad)
  close(dvariables['params']['input']['bias'], peer.bias_ih_l0.grad)
  close(dvariables['params']['recurrent_kernel'].T, peer.weight_hh_l0.grad)
  if config is GRU:
    close(dvariables['params']['recurrent_bias'], peer.bias_hh_l0.grad)
  for ours, theirs in zip(dstate, first, strict=True):
    close(ours, theirs.grad[0])


@BOTH
def test_gradient_of_the_scan_is_that_of_a_plain_loop(config):
  """With documents that begin within a row, and with padding."""
  rng = np.random.default_rng(3)
  size = config.gates * 5
  kernel, x = (rng.standard_normal(s).astype(np.float32)
               for s in ((5, size), (6, 2, size)))
  bias = rng.standard_normal(size).astype(np.float32)
  keep, real = (rng.random((6, 2, 1)) < 0.7 for _ in range(2))
  weights = rng.standard_normal((6, 2, 5)).astype(np.float32)

  def total(h_TBH, state):
    return jnp.sum(h_TBH * weights) + sum(jnp.sum(s**2) for s in state)

  def scanned(kernel, bias, x, state):
    return total(*recurrent.scan(
        config.cell, kernel, bias, x, state, keep, real))

  def looped(kernel, bias, x, state):
    outputs = []
    for t in range(6):
      state = tuple(s * keep[t] for s in state)
      new = config.cell(x[t], state[0] @ kernel + bias[None], state)
      state = tuple(real[t] * n + ~real[t] * s for n, s in zip(new, state))
      outputs.append(state[0])
    return total(jnp.stack(outputs), state)

  arguments = kernel, bias, x, state_of(config)
  got, want = (jax.jit(jax.value_and_grad(f, argnums=(0, 1, 2, 3)))(*arguments)
               for f in (scanned, looped))
  jax.tree.map(functools.partial(
      np.testing.assert_allclose, rtol=1e-5, atol=1e-5), got, want)


@BOTH
def test_a_sequence_read_in_pieces_is_the_sequence(config):
  layer, variables = made(config)
  whole, last = layer.apply(variables, X_BTD)
  first, state = layer.apply(variables, X_BTD[:, :3])
  second, state = layer.apply(variables, X_BTD[:, 3:], state)
  np.testing.assert_allclose(
      np.concatenate([first, second], 1), whole, atol=1e-6)
  jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6),
               state, last)


@BOTH
def test_a_document_forgets_and_padding_is_not_read(config):
  layer, variables = made(config)
  apply = functools.partial(layer.apply, variables)
  resets_BT = np.zeros((2, 7), bool)
  resets_BT[:, 4] = True
  h_BTH, _ = apply(X_BTD, state_of(config), resets_BT=resets_BT)
  np.testing.assert_allclose(
      h_BTH[:, 4:], apply(X_BTD[:, 4:])[0], atol=1e-6)

  real_BT = np.ones((2, 7), bool)
  real_BT[:, 2:5] = False
  x_BTD = np.where(real_BT[..., None], X_BTD, np.nan)
  h_BTH, state = apply(x_BTD, real_BT=real_BT)
  short, want = apply(X_BTD[:, [0, 1, 5, 6]])
  np.testing.assert_allclose(h_BTH[:, [0, 1, 5, 6]], short, atol=1e-6)
  np.testing.assert_array_equal(h_BTH[:, 4], h_BTH[:, 1])
  jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6),
               state, want)


def test_forget_bias_is_added_to_the_second_gate():
  layer, variables = made(LSTM)
  biased = dataclasses.replace(LSTM, forget_bias=0.7).build(layers.Policy())
  params = jax.tree.map(jnp.array, variables['params'])
  params['input']['bias'] = params['input']['bias'].at[5:10].add(0.7)
  np.testing.assert_allclose(
      biased.apply(variables, X_BTD)[0],
      layer.apply({'params': params}, X_BTD)[0], atol=1e-6)


def test_dropped_weights_are_the_same_at_every_step():
  config = dataclasses.replace(GRU, weight_drop=0.5)
  layer, variables = made(config)
  rngs = {'dropout': jax.random.key(1)}
  got, _ = layer.apply(variables, X_BTD, train=True, rngs=rngs)
  whole, _ = layer.apply(variables, X_BTD)
  assert np.abs(got - whole).max() > 1e-3
  np.testing.assert_allclose(got[:, 0], whole[:, 0], atol=1e-6)  # From zeros.
  # A constant input settles only if the weights stay: it becomes a fixed point.
  still = np.broadcast_to(X_BTD[:, :1], (2, 200, 3))
  h_BTH, _ = layer.apply(variables, still, train=True, rngs=rngs)
  np.testing.assert_allclose(h_BTH[:, -1], h_BTH[:, -2], atol=1e-5)


@pytest.mark.slow
def test_half_precision_keeps_a_float32_state():
  config = LSTM
  layer, variables = made(config, dtype='bfloat16')
  h_BTH, state = layer.apply(variables, X_BTD)
  assert h_BTH.dtype == jnp.bfloat16
  assert {part.dtype for part in state} == {jnp.dtype('float32')}
  want, _ = made(config)[0].apply(variables, X_BTD)
  np.testing.assert_allclose(h_BTH.astype(jnp.float32), want, atol=0.03)
  gradient = jax.grad(lambda v: jnp.sum(layer.apply(v, X_BTD)[1][0]))(variables)
  assert {g.dtype for g in jax.tree.leaves(gradient)} == {jnp.dtype('float32')}


def test_kernels_start_uniform_within_their_scale():
  config = recurrent.LSTMConfig(64, init_scale=0.05)
  params = config.build(layers.Policy()).init(
      jax.random.key(0), jnp.zeros((1, 1, 32)))['params']
  for kernel in params['recurrent_kernel'], params['input']['kernel']:
    assert 0.049 < np.abs(kernel).max() <= 0.05
    assert np.std(kernel) == pytest.approx(0.05 / 3**0.5, rel=0.03)


@pytest.mark.parametrize('field, value', [
    ('hidden', 0), ('init_scale', 0.0), ('weight_drop', 1.0)])
def test_impossible_layers_are_refused(field, value):
  with pytest.raises(errors.InputError, match=f'GRUConfig.{field} should be'):
    dataclasses.replace(GRU, **{field: value})
