"""Attention by plain loops in float64: slow, and plainly what is meant."""
import math

import numpy as np


def attend(q, k, v, may_attend, *, bias=None, scale=None, softcap=None):
  """Returns [B, T, N, H] from q [B, T, N, H] and k, v [B, S, K, H].

  Args:
    q, k, v: Arrays.
    may_attend: Function of (row, query index, key index).
    bias: Array [B, N, T, S] added to the logits.
    scale: Multiplier on the logits, H ** -0.5 by default.
    softcap: See `lmjax.nn.attend.plain`.
  """
  q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
  rows, queries, heads, size = q.shape
  out = np.zeros(q.shape)
  for b in range(rows):
    for n in range(heads):
      kv_head = n // (heads // k.shape[2])
      for t in range(queries):
        weights = {}
        for s in range(k.shape[1]):
          if not may_attend(b, t, s):
            continue
          logit = q[b, t, n] @ k[b, s, kv_head]
          logit *= size ** -0.5 if scale is None else scale
          if bias is not None:
            logit += bias[b, n, t, s]
          if softcap is not None:
            logit = softcap * math.tanh(logit / softcap)
          weights[s] = math.exp(logit)
        for s, weight in weights.items():
          out[b, t, n] += weight / sum(weights.values()) * v[b, s, kv_head]
  return out
