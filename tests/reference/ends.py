"""Embeddings and heads of one row, in float64 and plain loops."""
import math

import numpy as np

from tests.reference import blocks


def table(params, name):
  """A table of vectors, by the name of its module."""
  return np.asarray(params[name]['embedding'], np.float64)


def embedded(params, tables, ids, *, scale=1.0, types=None, offset=0,
             widened=None, epsilon=None):
  """Returns what the first block reads, one vector a token.

  Args:
    params: Where positions, types, norm and `widen` are.
    tables: Where the token embeddings are.
    ids: Token ids.
    scale: Multiplies embeddings.
    types: The type of each token, or None where types have no embeddings.
    offset: The row of the first position.
    widened: 'first' or 'last', or None where there is nothing to widen.
    epsilon: The norm's, or None where there is none.
  """
  out = []
  for place, token in enumerate(ids):
    x_E = scale * table(tables, 'embed')[token]
    if types is not None:
      x_E = x_E + table(params, 'types')[types[place]]
    if widened == 'first':
      x_E = blocks.dense(x_E, params['widen'])
    if 'positions' in params:
      x_E = x_E + table(params, 'positions')[place + offset]
    if epsilon is not None:
      norm = params['embed_norm']
      x_E = blocks.layer_norm(
          x_E[None], norm['scale'], norm['bias'], epsilon)[0]
    if widened == 'last':
      x_E = blocks.dense(x_E, params['widen'])
    out.append(x_E)
  return np.stack(out)


def gelu(x):
  """The exact GELU."""
  return np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x])


def logits(params, tables, x_TD, *, tied, scale=1.0, softcap=None,
           epsilon=None):
  """Returns the logits of hidden states, [T, V].

  Args:
    params: The head's.
    tables: Where the token embeddings are.
    x_TD: Hidden states.
    tied: Whether vectors are the token embeddings.
    scale: Multiplies hidden states.
    softcap: Bends logits to below it, or None.
    epsilon: Of the norm of the transform, or None where there is none.
  """
  vectors = table(tables, 'embed') if tied else np.asarray(
      params['kernel'], np.float64).T
  out = np.zeros((len(x_TD), len(vectors)))
  for place, x in enumerate(np.asarray(x_TD, np.float64)):
    x = scale * x
    if epsilon is not None:
      norm = params['norm']
      x = gelu(blocks.dense(x, params['transform']))
      x = blocks.layer_norm(x[None], norm['scale'], norm['bias'], epsilon)[0]
    elif 'narrow' in params:
      x = blocks.dense(x, params['narrow'])
    for token, vector in enumerate(vectors):
      out[place, token] = x @ vector
  if 'bias' in params:
    out += np.asarray(params['bias'], np.float64)
  return out if softcap is None else softcap * np.tanh(out / softcap)
