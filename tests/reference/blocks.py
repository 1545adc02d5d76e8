"""The parts of a Transformer block on one row, in float64 and plain loops."""
import numpy as np


def layer_norm(x_TD, scale, bias, epsilon):
  """Zero mean and unit variance of each token, then scaled and shifted."""
  scale, bias = (np.asarray(x, np.float64) for x in (scale, bias))
  out = np.zeros_like(x_TD)
  for t, x in enumerate(x_TD):
    out[t] = (x - x.mean()) / np.sqrt(x.var() + epsilon) * scale + bias
  return out


def rms_norm(x_TD, scale, epsilon):
  """Each token over its root mean square, then scaled."""
  scale = np.asarray(scale, np.float64)
  out = np.zeros_like(x_TD)
  for t, x in enumerate(x_TD):
    out[t] = x / np.sqrt((x * x).mean() + epsilon) * scale
  return out


def dense(x_TD, params):
  """A product with a kernel, and a bias where there is one."""
  out = x_TD @ np.asarray(params['kernel'], np.float64)
  if 'bias' not in params:
    return out
  return out + np.asarray(params['bias'], np.float64)


def attention(x_TD, params, num_heads=4, num_kv_heads=2):
  """Causal attention; neighbouring query heads share a key head."""
  length, width = len(x_TD), x_TD.shape[1]
  size = width // num_heads
  q, k, v = (dense(x_TD, params[name]).reshape(length, -1, size)
             for name in ('query', 'key', 'value'))
  out = np.zeros((length, num_heads, size))
  for head in range(num_heads):
    shared = head * num_kv_heads // num_heads
    for t in range(length):
      logits = np.array([
          q[t, head] @ k[s, shared] / np.sqrt(size) for s in range(t + 1)])
      weights = np.exp(logits - logits.max())
      weights /= weights.sum()
      for s in range(t + 1):
        out[t, head] += weights[s] * v[s, shared]
  return dense(out.reshape(length, -1), params['out'])


def mlp(x_TD, params):
  """Two products with a ReLU between."""
  return dense(np.maximum(dense(x_TD, params['in']), 0), params['out'])
