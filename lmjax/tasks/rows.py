"""Turns texts into rows of tokens, and rows into batches of a few shapes."""
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import functools
from typing import Annotated, Any

import numpy as np

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.data.tokenizers import tokenizer as tokenizer_lib


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Features:
  """How texts become rows of tokens.

  A row is laid out by the tokenizer's `frame`. That of a pretrained model is
  the model's own. Otherwise a text becomes [BOS] text [EOS], with the BOS and
  EOS that the tokenizer has; a pair becomes [CLS] A [SEP] B [SEP] if the
  tokenizer has these specials, and [BOS] A B [EOS] if not, where B has a space
  before it. Tokens after A are of type 1.

  Attributes:
    lengths: Row lengths in tokens. A text takes the first length in which it
      fits; one program is compiled per length. A text that is longer than all
      of them is cut at its end, and counted. In a pair, the longer text is cut
      first.
    batch_size: Rows per step.
    prefix: Put before every text. With a space, the first word has the same
      subwords as within a text.
    token_dropout: Rate at which tokens of a training row are removed, except
      the first one.

  References:
    Iyyer et al., Deep Unordered Composition Rivals Syntactic Methods for Text
    Classification, 2015, section 3.1 (word dropout). Devlin et al., BERT,
    arXiv:1810.04805, appendix A.2 (pairs).
  """
  lengths: tuple[Annotated[int, ranges.Range(3)], ...] = (32, 64, 128)
  batch_size: ranges.Count = 32
  prefix: str = ''
  token_dropout: ranges.Rate = 0.0

  def __post_init__(self):
    if not self.lengths or sorted(set(self.lengths)) != list(self.lengths):
      raise errors.InputError(
          'features.lengths should be increasing numbers; got '
          f'{self.lengths}.')

  @property
  def longest(self) -> int:
    """The number of tokens of the longest row."""
    return self.lengths[-1]

  def build(self, texts: Sequence[tuple[str, ...]], labels: np.ndarray,
            tokenizer: tokenizer_lib.Tokenizer) -> 'Rows':
    """Returns the rows of texts.

    Args:
      texts: The text, or both texts of a pair, of each example.
      labels: The label of each example, [examples], or its labels,
        [examples, C].
      tokenizer: Maps text to ids.
    """
    rows = [layout([tokenizer.encode(text) for text in self.spelled(
        each, tokenizer.pair_prefix)], self.longest, tokenizer)
            for each in texts]
    by_token = {}
    if any(len(each) > 1 for each in texts):
      by_token['types'] = padded([row.types for row in rows], self.longest)
    return Rows(
        self, padded([row.ids for row in rows], self.longest),
        np.array([len(row.ids) for row in rows], np.int32),
        sum(row.cut for row in rows), {'labels': labels}, by_token)

  def spelled(self, texts: Sequence[str], between: str = ' ') -> list[str]:
    """Returns the texts of an example with the prefixes that are tokenized.

    Args:
      texts: The text, or both texts of a pair.
      between: The prefix of the second text; see `Tokenizer.pair_prefix`.
    """
    first, *second = texts
    return [self.prefix + first, *(between + text for text in second)]


@dataclasses.dataclass(frozen=True)
class Row:
  """The ids of an example.

  Attributes:
    ids: The token ids.
    types: The index of the text that each token is from.
    cut: Whether tokens were cut.
    spans: The columns at which each text begins and ends.
  """
  ids: np.ndarray
  types: np.ndarray
  cut: bool
  spans: tuple[tuple[int, int], ...]


def layout(parts: Sequence[np.ndarray], longest: int,
           tokenizer: tokenizer_lib.Tokenizer) -> Row:
  """Returns the row of one text or of a pair; see `Features`.

  Args:
    parts: The ids of each text.
    longest: The largest number of tokens in the row.
    tokenizer: The tokenizer, with its special tokens.
  """
  frame = tokenizer.frame(len(parts))
  sizes = shares(
      [len(part) for part in parts], longest - frame.size(len(parts)))
  ids, types, spans = frame.around(
      [part[:size] for part, size in zip(parts, sizes)])
  return Row(ids, types, sum(sizes) < sum(map(len, parts)), tuple(spans))


def shares(sizes: Sequence[int], room: int) -> list[int]:
  """Returns the number of tokens kept of each text; the longest is cut first.

  Example:
    >>> shares([9, 2], 6), shares([9, 8], 7)
    ([4, 2], [4, 3])
  """
  sizes = list(sizes)
  while (over := sum(sizes) - max(room, 0)) > 0:
    longest = max(range(len(sizes)), key=lambda i: (sizes[i], i))
    others = max((size for i, size in enumerate(sizes) if i != longest),
                 default=0)
    sizes[longest] -= min(over, max(sizes[longest] - others, 1))
  return sizes


def padded(rows: Sequence[np.ndarray], length: int) -> np.ndarray:
  """Returns 1-D arrays as one array [rows, length], padded with zeros."""
  out = np.zeros((len(rows), length), rows[0].dtype if len(rows) else np.int32)
  for i, row in enumerate(rows):
    out[i, :len(row)] = row
  return out


@dataclasses.dataclass(frozen=True)
class Rows:
  """The tokenized examples of a split.

  Attributes:
    features: The config of rows and batches.
    tokens: Token ids, [examples, longest], padded with zeros.
    sizes: The number of tokens of each example.
    truncated: The number of examples that were cut.
    by_row: More arrays of a batch, [examples, ...], by name. 'weights' replace
      weights of 1.
    by_token: More arrays of a batch, [examples, longest], by name. 'weights'
      here replace the weights of the rows.
  """
  features: Features
  tokens: np.ndarray
  sizes: np.ndarray
  truncated: int
  by_row: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
  by_token: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

  def __len__(self) -> int:
    return len(self.sizes)

  def once(self) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Yields (indices of the examples, batch): each example exactly once.

    Batches that are not full are padded with rows of weight 0, which have no
    index.
    """
    for length, indices in self.by_length():
      for start in range(0, len(indices), self.features.batch_size):
        chosen = indices[start:start + self.features.batch_size]
        yield chosen, self.batch(chosen, length)

  def joined(self, number: int, outputs: Sequence[Any]) -> Any:
    """Returns the output of an example's only row; see `task.Rows`.

    Raises:
      RuntimeError: If the example has several outputs.
    """
    if len(outputs) != 1:
      raise RuntimeError(
          f'Example {number} comes {len(outputs)} times in a split.')
    return outputs[0]

  def batches(self, seed: int) -> 'Batches':
    """Returns the training batches."""
    if not len(self):
      raise errors.InputError('There are no training examples.')
    return Batches(self, seed)

  def describe(self) -> str:
    """Returns a description: number of examples, average length, number cut."""
    if not len(self):
      return 'no example'
    return (
        f'{len(self):,} examples, {self.sizes.mean():.1f} tokens on '
        f'average; {self.truncated:,} longer than {self.features.longest} keep '
        'their head')

  def by_length(self) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (row length, indices of the examples with it, in order)."""
    low = -1  # Some texts have no tokens.
    for length in self.features.lengths:
      yield length, np.flatnonzero((self.sizes > low) & (self.sizes <= length))
      low = length

  def batch(self, chosen: np.ndarray, length: int,
            rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
    """Returns the rows of some examples, padded to the batch size.

    Args:
      chosen: Indices of the examples, at most `batch_size`.
      length: Tokens per row.
      rng: Generator for token dropout; None keeps all tokens.
    """
    missing = self.features.batch_size - len(chosen)
    fill = lambda x: np.pad(x, ((0, missing),) + ((0, 0),) * (x.ndim - 1))
    sizes = fill(self.sizes[chosen])
    by_token = {
        name: np.pad(x[chosen, :length], ((0, missing), (0, 0)))
        for name, x in {'inputs': self.tokens, **self.by_token}.items()}
    if rng is not None and self.features.token_dropout:
      by_token, sizes = drop_tokens(
          by_token, sizes, self.features.token_dropout, rng)
    columns = np.arange(length, dtype=np.int32)[None]
    real = columns < sizes[:, None]
    return {
        'inputs': by_token.pop('inputs') * real, 'positions': columns * real,
        'segments': real.astype(np.int32),
        'weights': fill(np.ones(len(chosen), np.float32)),
        **{name: fill(x[chosen]) for name, x in self.by_row.items()},
        **{name: x * real for name, x in by_token.items()}}


@dataclasses.dataclass(frozen=True)
class Batches:
  """Training batches, each a function of the step and the seed.

  An epoch shuffles the examples, groups rows of one length into batches, and
  shuffles the batches. Rows that do not fill a batch are added to the rows of
  the next length, so that every example comes exactly once per epoch, and at
  most one batch has rows of weight 0.
  """
  rows: Rows
  seed: int
  index: int = 0  # The part of each batch to return,
  count: int = 1  # and the number of parts.

  def __post_init__(self):
    object.__setattr__(self, '_plan', functools.lru_cache(2)(self._plan))

  @property
  def fingerprint(self) -> dict[str, Any]:
    """The values that the batches depend on, in addition to the examples."""
    return {'training.seed': self.seed,
            'task.features': repr(self.rows.features)}

  @property
  def steps_per_epoch(self) -> int:
    """The number of batches that have every row once."""
    return -(-len(self.rows) // self.rows.features.batch_size)

  def __call__(self, step: int) -> dict[str, np.ndarray]:
    """Returns the batch of a step."""
    epoch, place = divmod(step, self.steps_per_epoch)
    length, chosen = self._plan(epoch)[place]
    batch = self.rows.batch(
        chosen, length, np.random.default_rng([self.seed, 1, step]))
    size = self.rows.features.batch_size // self.count
    start = self.index * size
    return {name: x[start:start + size] for name, x in batch.items()}

  def shard(self, index: int, count: int) -> 'Batches':
    """Returns part `index` of `count` of each batch.

    Raises:
      InputError: If the rows of a batch do not divide.
    """
    if (rows := self.rows.features.batch_size) % count:
      raise errors.InputError(
          f'task.features.batch_size={rows} should be a multiple of the '
          f'{count} shards.')
    return dataclasses.replace(self, index=index, count=count)

  def documents(self, step: int) -> list[list[int]]:
    """Returns the index of the example in each row of a step's batch."""
    epoch, place = divmod(step, self.steps_per_epoch)
    _, chosen = self._plan(epoch)[place]
    filled = self.rows.features.batch_size - len(chosen)
    return [[number] for number in chosen.tolist()] + [[]] * filled

  def _plan(self, epoch: int) -> list[tuple[int, np.ndarray]]:
    """Returns (row length, examples) for each batch of an epoch."""
    rng = np.random.default_rng([self.seed, 0, epoch])
    size, plan, left = self.rows.features.batch_size, [], []
    for length, indices in self.rows.by_length():
      indices = np.concatenate([left, rng.permutation(indices)]).astype(int)
      whole = len(indices) // size * size
      plan += [(length, indices[i:i + size]) for i in range(0, whole, size)]
      left = indices[whole:]
    if len(left):
      longest = self.rows.sizes[left].max()
      plan.append((min(n for n in self.rows.features.lengths if n >= longest),
                   left))
    return [plan[i] for i in rng.permutation(len(plan))]


def drop_tokens(
    arrays: Mapping[str, np.ndarray], sizes: np.ndarray, rate: float,
    rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
  """Removes tokens at random, except the first of each row.

  Args:
    arrays: Token ids and other arrays of tokens, each [B, T], padded at the
      right.
    sizes: The number of tokens in each row, [B].
    rate: The probability that a token is removed.
    rng: The random generator.

  Returns:
    The arrays without the removed tokens, padded with zeros at the right, and
    the new numbers of tokens.
  """
  shape = len(sizes), next(iter(arrays.values())).shape[1]
  real = np.arange(shape[1])[None] < sizes[:, None]
  keep = real & (rng.random(shape) >= rate)
  keep[:, 0] = real[:, 0]
  order = np.argsort(~keep, axis=1, kind='stable')
  kept = {name: np.take_along_axis(x * keep, order, axis=1)
          for name, x in arrays.items()}
  return kept, keep.sum(axis=1).astype(sizes.dtype)
