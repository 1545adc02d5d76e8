"""N-gram language models: any order up to 6, any smoothing, vectorised.

Every model is stored in back-off form: for each n-gram seen, the probability of
its last token, and a back-off factor. The probability of a token never seen
after the n-gram is this factor times its probability after the shorter context.
Interpolated smoothings also have this form.
"""
from collections.abc import Mapping, Sequence
import dataclasses
import functools
import pathlib
from typing import Annotated

import numpy as np

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core import ranges
from lmjax.models.counted import archive
from lmjax.models.counted import ngram_best
from lmjax.models.counted import ngram_cache
from lmjax.models.counted import ngram_counts
from lmjax.models.counted import ngram_katz
from lmjax.models.counted import ngram_keys
from lmjax.models.counted import ngram_smoothing

Smoothing = (
    ngram_smoothing.ModifiedKneserNey | ngram_smoothing.KneserNey
    | ngram_smoothing.AbsoluteDiscounting | ngram_smoothing.WittenBell
    | ngram_smoothing.AddK | ngram_katz.Katz | ngram_smoothing.StupidBackoff)
_KIND = 'n-gram model'
_FACTS = ('vocab_size', 'bos_id', 'name', 'normalised', 'lower', 'unseen')
_TABLES = ('keys', 'log_probabilities', 'log_backoffs')


@dataclasses.dataclass(frozen=True)
@ranges.checked
class NgramConfig:
  """An n-gram model.

  Attributes:
    order: Length of the longest n-grams, 1 to 6: a token and the order - 1
      tokens before it.
    smoothing: How unseen n-grams get a probability.
    cache: Interpolation with the recent tokens of the same document; None for
      the n-grams alone.
  """
  order: Annotated[int, ranges.Range(1, ngram_counts.MAX_ORDER)] = 5
  smoothing: Smoothing = ngram_smoothing.ModifiedKneserNey()
  cache: ngram_cache.CacheConfig | None = None

  @property
  def title(self) -> str:
    """The name of the model in a report."""
    return f'{self.order}-gram {type(self.smoothing).__name__}'

  def load(self, path: str | pathlib.Path) -> 'Ngram':
    """Returns a saved model; see the function `load`."""
    return load(path)

  def fit(self, documents: ngram_counts.Documents, vocab_size: int,
          bos_id: int | None) -> 'Ngram':
    """Counts documents and returns the model; see `ngram_counts.count`."""
    return self.build(ngram_counts.count(
        documents, self.order, vocab_size, bos_id))

  def build(self, counts: ngram_counts.Counts) -> 'Ngram':
    """Returns the model of counts; orders above `order` are ignored.

    So counts up to order 6 are enough for the models of all orders.
    """
    if len(counts.levels) < self.order:
      raise errors.InputError(
          f'order is {self.order}, but n-grams were counted up to order '
          f'{len(counts.levels)}; count up to order {self.order}.')
    counts = dataclasses.replace(counts, levels=counts.levels[:self.order])
    estimates = self.smoothing.estimate(counts)
    with np.errstate(divide='ignore'):  # log 0 = -inf is intended.
      return Ngram(
          vocab_size=counts.vocab_size, bos_id=counts.bos_id,
          keys=tuple(level.keys for level in counts.levels),
          log_probabilities=tuple(map(np.log, estimates.probabilities)),
          log_backoffs=tuple(map(np.log, estimates.backoffs)),
          name=f'{type(self.smoothing).__name__} {self.order}-gram'
          + (' with a cache' if self.cache else ''),
          normalised=self.smoothing.normalised, lower=self.smoothing.lower,
          unseen=self.smoothing.unseen, cache=self.cache)


@dataclasses.dataclass(frozen=True, eq=False)
class Ngram:
  """An n-gram model, as tables that score tokens.

  A call takes a batch of `inputs`, `targets`, `positions` and `segments`, each
  [B, T]. It returns the loss of each target in nats, float32, and whether the
  target was the most probable token. The context of a target is up to order - 1
  inputs before it, in the same row and segment. BOS as a target has probability
  0.

  Attributes:
    vocab_size: Size of the vocabulary.
    bos_id: The id that begins documents and is never predicted, or None.
    keys: Keys of the n-grams of each order; see `ngram_counts.Level`.
    log_probabilities: Log probability of each n-gram's last token, given the
      tokens before it.
    log_backoffs: Log back-off factor of each n-gram except the longest. It
      multiplies the probability after the shorter context of tokens that never
      followed the n-gram.
    name: The order and smoothing.
    normalised: Whether probabilities sum to one; False for StupidBackoff.
    lower: The distribution to back off to: 'shorter', after the context without
      its first token, or 'uniform'.
    unseen: The factor for a context never seen: 1, or StupidBackoff's alpha.
    cache: See `NgramConfig`. Only a call uses it, and only for the loss; the
      most probable token is that of the n-grams alone.
  """
  vocab_size: int
  bos_id: int | None
  keys: tuple[np.ndarray, ...]
  log_probabilities: tuple[np.ndarray, ...]
  log_backoffs: tuple[np.ndarray, ...]
  name: str = ''
  normalised: bool = True
  lower: str = 'shorter'
  unseen: float = 1.0
  cache: ngram_cache.CacheConfig | None = None

  @property
  def order(self) -> int:
    return len(self.keys)

  @property
  def radix(self) -> int:
    return self.vocab_size + 1

  @property
  def num_ngrams(self) -> tuple[int, ...]:
    """The number of n-grams of each order; at order 1 this is all tokens."""
    ones = self.vocab_size - (self.bos_id is not None)
    return (ones, *(len(keys) for keys in self.keys[1:]))

  @property
  def log_uniform(self) -> float:
    return -np.log(self.vocab_size - (self.bos_id is not None))

  @functools.cached_property
  def best(self) -> tuple[np.ndarray, ...]:
    """The most probable token after each context; see `ngram_best`."""
    return ngram_best.tokens(self)

  def find(self, order: int, parents: np.ndarray,
           tokens: np.ndarray) -> np.ndarray:
    """Returns the index of each n-gram, parent + token; -1 if unseen."""
    out = np.full(len(parents), -1)
    known = np.flatnonzero(parents >= 0)
    out[known] = ngram_keys.find(
        self.keys[order - 1], parents[known] * self.radix + tokens[known])
    return out

  def log_probability(self, contexts: np.ndarray,
                      tokens: np.ndarray) -> np.ndarray:
    """Returns log p(token | context) in nats, float64 [B].

    Args:
      contexts: Ids before the tokens, [B, T]; the last order - 1 are used.
      tokens: Ids, [B].
    """
    tokens = self._checked(tokens)
    inputs_BT = self._checked(contexts)
    used = min(inputs_BT.shape[1], self.order - 1)
    if not used:
      return self.log_probabilities[0][tokens]
    inputs_BT = inputs_BT[:, inputs_BT.shape[1] - used:]
    targets_BT = np.concatenate([inputs_BT[:, 1:], tokens[:, None]], axis=1)
    linked = np.tile(np.arange(used) > 0, len(tokens))
    log_p, _ = self._score(inputs_BT.ravel(), targets_BT.ravel(), linked, False)
    return log_p[used - 1::used]

  def distribution(self, context: Sequence[int]) -> np.ndarray:
    """Returns p(. | context) over the vocabulary, float64 [V]."""
    context = np.asarray(context, np.int64)
    return np.exp(self.log_probability(
        np.broadcast_to(context, (self.vocab_size, len(context))),
        np.arange(self.vocab_size)))

  def __call__(self, batch: Mapping[str, np.ndarray]):
    targets_BT = np.asarray(batch['targets'])
    log_p, best = self._score(
        self._checked(batch['inputs']).ravel(),
        self._checked(targets_BT).ravel(), linked(batch).ravel(), True)
    log_p[np.asarray(batch['segments']).ravel() == 0] = 0.0  # Padding.
    nll_BT = -log_p.reshape(targets_BT.shape)
    if self.cache:
      nll_BT = self.cache.interpolate(batch, nll_BT, self.bos_id)
    return (nll_BT.astype(np.float32),
            best.reshape(targets_BT.shape) == targets_BT)

  def _score(self, inputs, targets, is_linked, want_best):
    """Returns log p of targets, and the most probable tokens if wanted.

    All arguments are 1-D. At each order, `node` is the index of the n-gram at
    the end of the inputs up to each place. A target is usually the next input,
    so its n-gram is the context of the next place and is not looked up again.
    """
    log_p = self.log_probabilities[0][targets]
    best = np.full(len(inputs), self.best[0][0]) if want_best else None
    node, whole = inputs, np.ones(len(inputs), bool)
    same = is_linked & (_before(targets, -1) == inputs)
    for order in range(2, self.order + 1):
      at = np.flatnonzero(node >= 0)  # Places whose context was seen.
      known = node[at]
      hit = ngram_keys.find(
          self.keys[order - 1], known * self.radix + targets[at])
      if self.lower == 'uniform':
        log_p[whole & (targets != self.bos_id)] = self.log_uniform
      if self.unseen != 1:
        log_p[whole & (node < 0)] += np.log(self.unseen)
      log_p[at] += self.log_backoffs[order - 2][known]
      seen = hit >= 0
      log_p[at[seen]] = self.log_probabilities[order - 1][hit[seen]]
      if want_best:
        best[at] = self.best[order - 1][known]
      found = np.full(len(node), -1)
      found[at] = hit
      whole = _before(whole, False) & is_linked
      shorter = np.where(whole & ~same, _before(node, -1), -1)
      node = np.where(same, _before(found, -1), -1)
      odd = np.flatnonzero(shorter >= 0)
      node[odd] = self.find(order, shorter[odd], inputs[odd])
    return log_p, best

  def _checked(self, ids):
    ids = np.asarray(ids).astype(np.int64)
    if ids.size and not 0 <= ids.min() <= ids.max() < self.vocab_size:
      raise errors.InputError(
          f'Token ids should be from 0 to {self.vocab_size - 1}; got '
          f'{ids[(ids < 0) | (ids >= self.vocab_size)][0]}.')
    return ids

  @functools.cached_property
  def digest(self) -> str:
    """SHA-256 of all values that define the model."""
    return archive.digest(self._facts(), self._arrays())

  def save(self, path: str | pathlib.Path) -> None:
    """Writes the model to one .npz file; `load` reads it."""
    archive.save(path, _KIND, self._facts(), self._arrays())

  def _facts(self):
    return {name: getattr(self, name) for name in _FACTS} | {
        'order': self.order, 'cache': config_lib.to_dict(self.cache)}

  def _arrays(self):
    return {f'{field}_{i}': array for field in _TABLES
            for i, array in enumerate(getattr(self, field), 1)}


def load(path: str | pathlib.Path) -> Ngram:
  """Returns the model that `Ngram.save` wrote.

  Raises:
    InputError: If the file does not exist or is damaged.
  """
  facts, arrays = archive.load(path, _KIND)
  try:
    sizes = facts['order'], facts['order'], facts['order'] - 1
    cache = facts['cache'] and config_lib.freeze(
        ngram_cache.CacheConfig, facts['cache'])
    model = Ngram(
        **{name: facts[name] for name in _FACTS},
        **{field: tuple(arrays[f'{field}_{i}'] for i in range(1, size + 1))
           for field, size in zip(_TABLES, sizes)}, cache=cache)
    is_sound = _is_sound(model)
  except (KeyError, TypeError, ValueError, AttributeError):
    is_sound = False
  if not is_sound:
    raise errors.InputError(
        f'The tables of {str(path)!r} do not form an n-gram model; fit it and '
        'save it again.')
  return model


def _is_sound(model: Ngram) -> bool:
  """Returns whether every lookup of an n-gram stays within the tables."""
  above = 1
  for order, (keys, log_p) in enumerate(
      zip(model.keys, model.log_probabilities), 1):
    left = model.log_backoffs[order - 1] if order < model.order else log_p
    if (keys.dtype != np.int64 or not log_p.shape == left.shape == keys.shape
        or keys.ndim != 1 or np.any(keys[1:] <= keys[:-1])
        or keys.size and not 0 <= keys[0] <= keys[-1] < above * model.radix
        or order == 1 and len(keys) != model.radix
        or np.isnan(log_p).any() or np.isnan(left).any()):
      return False
    above = len(keys)
  bos_id = 0 if model.bos_id is None else model.bos_id
  return (type(bos_id) is int and 0 <= bos_id < model.vocab_size
          and type(model.vocab_size) is int and isinstance(model.name, str)
          and model.lower in ('shorter', 'uniform') and model.order >= 1
          and type(model.normalised) is bool
          and isinstance(model.unseen, (int, float)) and model.unseen >= 0)


def linked(batch: Mapping[str, np.ndarray]) -> np.ndarray:
  """Returns whether each token follows the one before it in its text, [B, T].
  """
  segments_BT, positions_BT = (
      np.asarray(batch[name]) for name in ('segments', 'positions'))
  linked_BT = np.zeros(segments_BT.shape, bool)
  linked_BT[:, 1:] = (
      (segments_BT[:, 1:] == segments_BT[:, :-1])
      & (positions_BT[:, 1:] == positions_BT[:, :-1] + 1))
  return linked_BT


def _before(values, first):
  """Returns values shifted by one place, with `first` at the front."""
  out = np.empty_like(values)
  out[:1], out[1:] = first, values[:-1]
  return out
