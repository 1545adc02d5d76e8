"""Recurrent layers: one matrix product for all inputs, then a scan over time.
"""
from collections.abc import Callable
import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import placement
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.nn import kernels
from lmjax.nn import layers

State = tuple[jax.Array, ...]  # Arrays [B, H]; the first one is the output.
# cell(inputs_BG, recurrent_BG, state) -> state, element by element.
Cell = Callable[[jax.Array, jax.Array, State], State]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class _Recurrent:
  """The fields that all recurrent layers share.

  Attributes:
    hidden: Size H of the state.
    init_scale: Initial kernels are uniform in [-init_scale, init_scale]; None
      means 1 / sqrt(H).
    weight_drop: Rate at which single recurrent weights are dropped, the same
      ones at every time step (DropConnect).

  References:
    Merity et al., Regularizing and Optimizing LSTM Language Models,
    arXiv:1708.02182, section 2 (weight drop).
  """
  hidden: ranges.Count = 200
  init_scale: ranges.Positive | None = None
  weight_drop: ranges.Rate = 0.0

  def build(self, policy: layers.Policy, name: str | None = None) -> nn.Module:
    """Returns the layer; it uses only the dtype of the policy."""
    scale = self.init_scale or self.hidden**-0.5
    return Recurrent(self, dataclasses.replace(
        policy, init_std=scale / 3**0.5, uniform=True), name=name)

  def empty_state(self, batch: int) -> State:
    """Returns the initial state: zeros, float32."""
    return tuple(jnp.zeros((batch, self.hidden)) for _ in range(self.parts))


@dataclasses.dataclass(frozen=True)
class LSTMConfig(_Recurrent):
  """Long short-term memory; gates in the order input, forget, cell, output.

  Attributes:
    forget_bias: Added to the forget gate, in addition to its trained bias.

  References:
    Hochreiter and Schmidhuber, Long Short-Term Memory, 1997; Zaremba et al.,
    Recurrent Neural Network Regularization, arXiv:1409.2329, section 3.1.
  """
  forget_bias: ranges.Finite = 0.0
  gates = 4  # G / H.
  parts = 2  # Arrays of the state: output and memory cell.
  recurrent_bias = False  # One bias is enough, as gates add both products.

  def cell(self, inputs_BG: jax.Array, recurrent_BG: jax.Array,
           state: State) -> State:
    """Returns the state, (output, memory cell), after one more input."""
    i_BH, f_BH, g_BH, o_BH = jnp.split(inputs_BG + recurrent_BG, 4, axis=-1)
    c_BH = (jax.nn.sigmoid(f_BH + self.forget_bias) * state[1]
            + jax.nn.sigmoid(i_BH) * jnp.tanh(g_BH))
    return jax.nn.sigmoid(o_BH) * jnp.tanh(c_BH), c_BH


@dataclasses.dataclass(frozen=True)
class GRUConfig(_Recurrent):
  """Gated recurrent unit; gates in the order reset, update, candidate.

  The reset gate scales the candidate's recurrent product, bias included, as in
  cuDNN and PyTorch.

  References:
    Cho et al., Learning Phrase Representations, arXiv:1406.1078, section 2.3;
    Chung et al., arXiv:1412.3555, section 3.2.
  """
  gates = 3
  parts = 1
  recurrent_bias = True

  def cell(self, inputs_BG: jax.Array, recurrent_BG: jax.Array,
           state: State) -> State:
    """Returns the state, (output,), after one more input."""
    inputs_r, inputs_z, inputs_n = jnp.split(inputs_BG, 3, axis=-1)
    recurrent_r, recurrent_z, recurrent_n = jnp.split(recurrent_BG, 3, axis=-1)
    r_BH = jax.nn.sigmoid(inputs_r + recurrent_r)
    z_BH = jax.nn.sigmoid(inputs_z + recurrent_z)
    n_BH = jnp.tanh(inputs_n + r_BH * recurrent_n)
    return ((1 - z_BH) * n_BH + z_BH * state[0],)


Config = LSTMConfig | GRUConfig


class Recurrent(nn.Module):
  """A layer that reads a sequence token by token and updates a state.

  Parameters: `input` (kernel and bias of the inputs' product),
  `recurrent_kernel` and, if the cell has one, `recurrent_bias`.
  """
  config: Config
  policy: layers.Policy

  @nn.compact
  def __call__(self, x_BTD: jax.Array, state: State | None = None, *,
               resets_BT: jax.Array | None = None,
               real_BT: jax.Array | None = None, train: bool = False
               ) -> tuple[jax.Array, State]:
    """Reads T tokens of each row.

    Args:
      x_BTD: The inputs.
      state: The state before the first token, float32; None means zeros.
      resets_BT: True where a token begins a document: the state is set to zero
        before the token is read. None means nowhere.
      real_BT: True for tokens, False for padding, which keeps the state and
        repeats the output. None means that there is no padding.
      train: Whether weights are dropped, with the 'dropout' rng.

    Returns:
      The outputs, `h_BTH`, in the policy's dtype, and the state after the last
      token.
    """
    config, dtype = self.config, self.policy.dtype
    d = shapes.bind(x_BTD=x_BTD, resets_BT=resets_BT, real_BT=real_BT)
    size = config.gates * config.hidden
    x_BTD = placement.tokens(x_BTD)
    kernel_HG = kernels.array(kernels.parameter(
        self, 'recurrent_kernel', self.policy.initializer(),
        (config.hidden, size)), jnp.float32)
    bias_G = None
    if config.recurrent_bias:
      bias_G = self.param('recurrent_bias', nn.initializers.zeros, (size,))
    kernel_HG = layers.Dropout(
        config.weight_drop, deterministic=not train, rows=False)(kernel_HG)

    x_TBG = layers.Dense(size, self.policy, name='input')(
        x_BTD.swapaxes(0, 1))
    keep_TB, real_TB = (
        jnp.ones((d.T, d.B), bool) if flags_BT is None else flags_BT.T
        for flags_BT in (None if resets_BT is None else ~resets_BT, real_BT))
    if state is None:
      state = config.empty_state(d.B)
    h_TBH, state = scan(
        config.cell, kernel_HG.astype(dtype), bias_G, x_TBG, state,
        keep_TB[..., None], real_TB[..., None])
    return h_TBH.astype(dtype).swapaxes(0, 1), state


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def scan(cell: Cell, kernel_HG: jax.Array, bias_G: jax.Array | None,
         x_TBG: jax.Array, state: State, keep_TB1: jax.Array,
         real_TB1: jax.Array) -> tuple[jax.Array, State]:
  """Runs a cell over time; returns `h_TBH` and the last state, float32.

  The gradient of a plain `lax.scan` reads and writes an array as large as the
  kernel at every step. Here the backward loop computes only the gradient of
  each step's product; one matrix product over all steps then gives the
  gradient of the kernel.

  Args:
    cell: See `Cell`.
    kernel_HG: Multiplies the output of the previous step.
    bias_G: Added to the product with `kernel_HG`, or None.
    x_TBG: The product of the inputs and their kernel, for all steps.
    state: The state before the first step.
    keep_TB1: False where the state is set to zero before the step.
    real_TB1: False where the step does not change the state.
  """
  (h_TBH, _, _), state = _forward(
      cell, kernel_HG, bias_G, x_TBG, state, keep_TB1, real_TB1)
  return h_TBH, state


def _forward(cell, kernel_HG, bias_G, x_TBG, state, keep_TB1, real_TB1):
  """Returns outputs, prior states and products of all steps; last state."""
  zeros = (0.0,) * len(state)

  def step(state, each):
    x_BG, keep_B1, real_B1 = each
    prior = _where(keep_B1, state, zeros)
    recurrent_BG = _product(prior[0], kernel_HG)
    if bias_G is not None:
      recurrent_BG += bias_G[None]
    state = _where(real_B1, cell(x_BG, recurrent_BG, prior), prior)
    return state, (state[0], prior, recurrent_BG)

  state, every = jax.lax.scan(step, state, (x_TBG, keep_TB1, real_TB1))
  return every, state


def _scan_forward(cell, kernel_HG, bias_G, x_TBG, state, keep_TB1, real_TB1):
  (h_TBH, priors, recurrent_TBG), state = _forward(
      cell, kernel_HG, bias_G, x_TBG, state, keep_TB1, real_TB1)
  saved = (kernel_HG, bias_G, x_TBG, priors, recurrent_TBG, keep_TB1, real_TB1)
  return (h_TBH, state), saved


def _scan_backward(cell, saved, gradient):
  kernel_HG, bias_G, x_TBG, priors, recurrent_TBG, keep_TB1, real_TB1 = saved
  dh_TBH, dstate = gradient
  zeros = (0.0,) * len(dstate)

  def step(dstate, each):
    x_BG, prior, recurrent_BG, keep_B1, real_B1, dh_BH = each
    def after(x_BG, recurrent_BG, prior):
      return _where(real_B1, cell(x_BG, recurrent_BG, prior), prior)
    _, pull = jax.vjp(after, x_BG, recurrent_BG, prior)
    dx_BG, drecurrent_BG, (dh_prior, *dothers) = pull(
        (dstate[0] + dh_BH, *dstate[1:]))
    # The product is over the kernel's second axis: transposing is slower.
    dh_prior += _product(drecurrent_BG, kernel_HG, axis=1)
    dstate = _where(keep_B1, (dh_prior, *dothers), zeros)
    return dstate, (dx_BG, drecurrent_BG)

  dstate, (dx_TBG, drecurrent_TBG) = jax.lax.scan(
      step, dstate,
      (x_TBG, priors, recurrent_TBG, keep_TB1, real_TB1, dh_TBH), reverse=True)
  flat = lambda x: x.reshape(-1, x.shape[-1])
  dkernel_HG = _product(
      flat(priors[0]).T, flat(drecurrent_TBG).astype(kernel_HG.dtype))
  dbias_G = None if bias_G is None else jnp.sum(drecurrent_TBG, axis=(0, 1))
  return (dkernel_HG.astype(kernel_HG.dtype), dbias_G, dx_TBG, dstate, None,
          None)


scan.defvjp(_scan_forward, _scan_backward)


def _product(x, kernel, axis=0):
  """Returns the float32 product over the last axis of x and `axis` of kernel.
  """
  return jax.lax.dot_general(
      x.astype(kernel.dtype), kernel, (((1,), (axis,)), ((), ())),
      preferred_element_type=jnp.float32)


def _where(flags, state, other):
  """Returns `state` where the flags are True, and `other` elsewhere."""
  return tuple(jnp.where(flags, x, y) for x, y in zip(state, other))
