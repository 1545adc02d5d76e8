"""Decoders of one row, in float64 and as plainly as it goes, by their styles.

`hidden` runs blocks of any residual topology; what else differs between models
is handed in as functions.
"""
import math

import numpy as np

from tests.reference import blocks


def layer_norm(p, x_TD, epsilon=1e-5):
  """Zero mean and unit variance, by a norm's parameters."""
  return blocks.layer_norm(x_TD, p['scale'], p['bias'], epsilon)


def rms_norm(p, x_TD, epsilon=1e-6, offset=0.0):
  """Root mean square of 1, by a norm's parameters, to which `offset` is added.
  """
  scale = np.asarray(p['scale'], np.float64) + offset
  return blocks.rms_norm(
      x_TD, scale.reshape(-1), epsilon)


def gelu(x):
  """The exact GELU."""
  return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def gelu_tanh(x):
  """Its approximation by a hyperbolic tangent."""
  return 0.5 * x * (1 + np.tanh(
      math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def silu(x):
  """x times its logistic."""
  return x / (1 + np.exp(-x))


def relu(x):
  """What is above 0."""
  return np.maximum(x, 0)


def turned(x_TNH, theta, size, interleaved=False):
  """Heads whose first `size` dimensions turn with the position, as numbers of
  the complex plane."""
  out = x_TNH.copy()
  for place, x_NH in enumerate(x_TNH):
    for pair in range(size // 2):
      one, other = (2 * pair, 2 * pair + 1) if interleaved else (
          pair, pair + size // 2)
      number = (x_NH[:, one] + 1j * x_NH[:, other]) * np.exp(
          1j * place * theta ** (-2 * pair / size))
      out[place, :, one], out[place, :, other] = number.real, number.imag
  return out


def attention(x_TD, p, num_heads, num_kv_heads=None, *, turn=None, norm=None,
              slopes=None, window=None, scale=None, softcap=None):
  """Causal attention of one row.

  Args:
    x_TD: What is read.
    p: Parameters of the mixer.
    num_heads: Of queries.
    num_kv_heads: Of keys and values; as many by default.
    turn: Function of queries or keys, [T, N, H].
    norm: Function of a norm's parameters and queries or keys.
    slopes: ALiBi's, one a head.
    window: How many tokens are seen.
    scale: Of logits; by default H ** -0.5.
    softcap: Bends logits to below it.
  """
  length, kv = len(x_TD), num_kv_heads or num_heads
  q, k, v = (blocks.dense(x_TD, p[name]).reshape(length, count, -1)
             for name, count in (
                 ('query', num_heads), ('key', kv), ('value', kv)))
  if norm is not None:
    q, k = norm(p['query_norm'], q), norm(p['key_norm'], k)
  if turn is not None:
    q, k = turn(q), turn(k)
  distance = np.arange(length)[:, None] - np.arange(length)[None]
  seen = (distance >= 0) & (distance < (window or length))
  out = []
  for head in range(num_heads):
    group = head * kv // num_heads
    logits = q[:, head] @ k[:, group].T * (scale or q.shape[-1] ** -0.5)
    if slopes is not None:
      logits = logits - slopes[head] * distance
    if softcap is not None:
      logits = softcap * np.tanh(logits / softcap)
    weights = np.where(seen, np.exp(logits - logits.max()), 0)
    out.append(weights / weights.sum(-1, keepdims=True) @ v[:, group])
  return blocks.dense(np.concatenate(out, -1), p['out'])


def mlp(x_TD, p, activation):
  """A feed-forward network, gated where it has a gate."""
  h = activation(blocks.dense(x_TD, p['in']))
  if 'gate' in p:
    h = h * blocks.dense(x_TD, p['gate'])
  return blocks.dense(h, p['out'])


def hidden(params, x_TD, topology, *, norm, attend, activation, multiplier=1.0):
  """Returns the residual stream after all blocks and the final norm.

  Args:
    params: The model's, looped.
    x_TD: What the first block reads.
    topology: 'pre', 'post' or 'parallel'; 'pre' has norms before branches, on
      what they add, or both, as the parameters have.
    norm: Function of a norm's parameters and what is normed.
    attend: Function of a layer's number, what is read, and the parameters.
    activation: Of the feed-forward networks.
    multiplier: Multiplies what a branch adds.
  """
  x = x_TD
  for i in range(sum(name.startswith('layer_') for name in params)):
    p = params[f'layer_{i}']
    def normed(name, x):
      return norm(p[name], x) if name in p else x
    if topology == 'parallel':
      h = normed('mixer_norm', x)
      m = normed('mlp_norm', x) if 'mlp_norm' in p else h
      x = x + attend(i, h, p['mixer']) + mlp(m, p['mlp'], activation)
    elif topology == 'post':
      x = normed('mixer_norm', x + attend(i, x, p['mixer']))
      x = normed('mlp_norm', x + mlp(x, p['mlp'], activation))
    else:
      h = attend(i, normed('mixer_norm', x), p['mixer'])
      x = x + multiplier * normed('mixer_out_norm', h)
      h = mlp(normed('mlp_norm', x), p['mlp'], activation)
      x = x + multiplier * normed('mlp_out_norm', h)
  return norm(params['final_norm'], x) if 'final_norm' in params else x
