"""N-gram models by plain dicts, straight from the papers: slow and plain.

Documents are tuples of ids that begin with BOS. A model is a function of
(context tuple, token) that gives a probability.
"""
import collections


def raw_counts(documents, order):
  """Returns {n-gram tuple: count} for orders 1 .. order; BOS not predicted."""
  counts = collections.Counter()
  for document in documents:
    for end in range(1, len(document)):
      for n in range(1, min(order, end + 1) + 1):
        counts[tuple(document[end - n + 1:end + 1])] += 1
  return counts


def kneser_ney_counts(documents, order, bos):
  """Returns the counts of Chen and Goodman's modified Kneser-Ney.

  The highest order, and n-grams that begin with BOS, keep how often they were
  seen; others count the distinct tokens before them.
  """
  raw = raw_counts(documents, order)
  before = collections.defaultdict(set)
  for gram in raw_counts(documents, order + 1):
    before[gram[1:]].add(gram[0])
  return {gram: count if len(gram) == order or gram[0] == bos
          else len(before[gram]) for gram, count in raw.items()}


def discounts(counts, n):
  """Returns D1, D2, D3+ by equation 26 of TR-10-98, or (0.5, 1, 1.5)."""
  of = collections.Counter(c for gram, c in counts.items() if len(gram) == n)
  if not of[1] or not of[2] or not of[3]:
    return (0.5, 1.0, 1.5)
  y = of[1] / (of[1] + 2 * of[2])
  found = (1 - 2 * y * of[2] / of[1], 2 - 3 * y * of[3] / of[2],
           3 - 4 * y * of[4] / of[3])
  right = all(0 < d <= r for r, d in enumerate(found, 1))
  return found if right else (0.5, 1.0, 1.5)


def one_discount(counts, n):
  """Returns n1 / (n1 + 2 n2) three times, or 0.5."""
  of = collections.Counter(c for gram, c in counts.items() if len(gram) == n)
  d = of[1] / (of[1] + 2 * of[2]) if of[1] and of[2] else 0.5
  return (d, d, d)


def discounted(counts, order, choices, discount_of):
  """Returns the interpolation of discounted counts."""
  by_order = {n: discount_of(counts, n) for n in range(1, order + 1)}

  def probability(context, token):
    if context is None:
      return 1 / choices
    followers = {gram[-1]: c for gram, c in counts.items()
                 if gram[:-1] == context}
    shorter = context[1:] if context else None
    if not followers:
      return probability(shorter, token)
    d = (0, *by_order[len(context) + 1])
    total = sum(followers.values())
    left = sum(d[min(c, 3)] for c in followers.values()) / total
    count = followers[token] if token in followers else 0
    return ((count - d[min(count, 3)]) / total
            + left * probability(shorter, token))
  return probability


def witten_bell(documents, order, choices):
  counts = raw_counts(documents, order)

  def probability(context, token):
    if context is None:
      return 1 / choices
    followers = {gram[-1]: c for gram, c in counts.items()
                 if gram[:-1] == context}
    shorter = context[1:] if context else None
    if not followers:
      return probability(shorter, token)
    count = followers[token] if token in followers else 0
    kinds = len(followers)
    return (count + kinds * probability(shorter, token)) / (
        sum(followers.values()) + kinds)
  return probability


def add_k(documents, order, choices, k):
  counts = raw_counts(documents, order)

  def probability(context, token):
    total = sum(c for gram, c in counts.items() if gram[:-1] == context)
    return (counts[(*context, token)] + k) / (total + k * choices)
  return probability


def stupid(documents, order, choices, alpha):
  counts = raw_counts(documents, order)

  def score(context, token):
    if context is None:
      return 1 / choices
    total = sum(c for gram, c in counts.items() if gram[:-1] == context)
    if counts[(*context, token)]:
      return counts[(*context, token)] / total
    return alpha * score(context[1:] if context else None, token)
  return score


def katz(documents, order, choices, discounts_of):
  """Returns Katz's back-off; discounts_of(n) gives d_1, d_2, ..."""
  counts = raw_counts(documents, order)
  ratios = {n: discounts_of(n) for n in range(1, order + 1)}

  def probability(context, token):
    if context is None:
      return 1 / choices
    followers = {gram[-1]: c for gram, c in counts.items()
                 if gram[:-1] == context}
    shorter = context[1:] if context else None
    if not followers:
      return probability(shorter, token)
    d = ratios[len(context) + 1]
    kept = {w: c * (d[c - 1] if c <= len(d) else 1)
            for w, c in followers.items()}
    total = sum(followers.values())
    if total - sum(kept.values()) < 1e-9 * total:
      total += 1
    if len(followers) == choices:
      total = sum(kept.values())
    if token in followers:
      return kept[token] / total
    free = 1 - sum(probability(shorter, w) for w in followers)
    return (1 - sum(kept.values()) / total) / free * probability(
        shorter, token)
  return probability
