"""The most probable token after every context of a back-off model, exactly."""
from typing import Any

import numpy as np


def tokens(model: Any) -> tuple[np.ndarray, ...]:
  """Returns the most probable token after each n-gram of order 0, 1, ...

  After a context h, this is either the most probable token seen after h, or,
  among the tokens not seen after h, the most probable one after the shorter
  context (h without its first token). The latter is searched for only where it
  could win; for interpolated smoothings it is then the most probable token
  after the shorter context.

  Args:
    model: An `ngram.Ngram`.
  """
  search = _Search(model)
  best = [np.array([np.argmax(model.log_probabilities[0])])]
  top = [np.max(model.log_probabilities[0], keepdims=True)]
  for order in range(1, model.order):  # The order of the context.
    shorter = search.suffixes[order]
    below = best[-1][shorter]
    below_log_p = top[-1][shorter] + model.log_backoffs[order - 1]
    token, log_p = search.children(order)
    childless = np.isneginf(log_p)
    if model.lower == 'uniform':  # Seen tokens are at least as probable.
      wins = childless
    else:
      wins = childless | (below_log_p > log_p + 1e-12)
      rivals = np.flatnonzero(wins & ~childless)
      followed = model.find(order + 1, rivals, below[rivals]) >= 0
      beaten = rivals[followed]
      other_log_p, other = search.outside(order, beaten)
      below[beaten] = other
      below_log_p[beaten] = model.log_backoffs[order - 1][beaten] + other_log_p
      wins[beaten] = below_log_p[beaten] > log_p[beaten]
    best.append(np.where(wins, below, token))
    top.append(np.where(wins, below_log_p, log_p))
  return tuple(best)


class _Search:
  """Iterates over the tokens that follow contexts, most probable first."""

  def __init__(self, model):
    self._model = model
    self.suffixes = [None, np.zeros(model.radix, np.int64)]
    for order in range(2, model.order):
      parent, token = np.divmod(model.keys[order - 1], model.radix)
      self.suffixes.append(
          token if order == 2 else
          model.find(order - 1, self.suffixes[order - 1][parent], token))
    self._ranks = {}

  def children(self, order):
    """Returns the most probable token seen after each context, and its log p.
    """
    model = self._model
    size = len(model.keys[order - 1])
    token, log_p = np.zeros(size, np.int64), np.full(size, -np.inf)
    if not len(model.keys[order]):
      return token, log_p
    parent, child = np.divmod(model.keys[order], model.radix)
    values = model.log_probabilities[order]
    starts = np.flatnonzero(np.diff(parent, prepend=-1))
    log_p[parent[starts]] = np.maximum.reduceat(values, starts)
    equal = np.flatnonzero(values == log_p[parent])[::-1]
    token[parent[equal]] = child[equal]  # Ties go to the first token.
    return token, log_p

  def outside(self, order, nodes):
    """Returns the most probable token among those never seen after a context.

    Args:
      order: The length of the contexts.
      nodes: Indices of the contexts.

    Returns:
      For each context, the token's log p after the context without its first
      token, and the token.
    """
    model = self._model
    shorter = self.suffixes[order][nodes]
    log_p = np.full(len(nodes), -np.inf)
    token = np.zeros(len(nodes), np.int64)
    if order > 1 and len(nodes):
      # A token never seen after the shorter context is new to the longer one.
      distinct, index = np.unique(shorter, return_inverse=True)
      log_p, token = (found[index] for found in self.outside(
          order - 1, distinct))
      log_p = log_p + model.log_backoffs[order - 2][shorter]
    ranked, starts, sizes = self._ranked(order)
    live, rank = np.arange(len(nodes)), 0
    while len(live):
      live = live[sizes[shorter[live]] > rank]
      ngram = ranked[starts[shorter[live]] + rank]
      value = model.log_probabilities[order - 1][ngram]
      better = value > log_p[live]  # Otherwise later ones are not better.
      live, ngram, value = live[better], ngram[better], value[better]
      follower = model.keys[order - 1][ngram] % model.radix
      free = model.find(order + 1, nodes[live], follower) < 0
      log_p[live[free]], token[live[free]] = value[free], follower[free]
      live, rank = live[~free], rank + 1
    return log_p, token

  def _ranked(self, order):
    """Returns n-grams by context, most probable first; starts and sizes."""
    if order not in self._ranks:
      model = self._model
      parent = (np.zeros(model.radix, np.int64) if order == 1
                else model.keys[order - 1] // model.radix)
      size = 1 if order == 1 else len(model.keys[order - 2])
      sizes = np.bincount(parent, minlength=size)
      self._ranks[order] = (
          np.lexsort((-model.log_probabilities[order - 1], parent)),
          np.cumsum(sizes) - sizes, sizes)
    return self._ranks[order]
