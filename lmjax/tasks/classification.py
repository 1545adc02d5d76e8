"""Text classification: one label a text, in batches of a few fixed shapes."""
from collections.abc import Callable, Iterator, Sequence
import dataclasses
import functools
from typing import Any

import numpy as np

from lmjax.core import config
from lmjax.core import errors
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation import classification
from lmjax.objectives import labels as labels_lib
from lmjax.tasks import baselines as baselines_lib
from lmjax.tasks import docstrings
from lmjax.tasks import readers
from lmjax.tasks import task as task_lib

Source = docstrings.Docstrings | readers.Labelled


@dataclasses.dataclass(frozen=True)
class Features:
  """Texts as rows of tokens: [BOS] text [EOS], as the tokenizer's rule says.

  Attributes:
    lengths: Row lengths in tokens. A text takes the first in which it fits, so
      as many programs are compiled as there are lengths; longer texts keep
      their head, and are counted.
    batch_size: Rows a step.
    prefix: Put before every text. A space has its first word written in the
      same subwords as it is within a text.
    token_dropout: Share of the tokens of a training row that are left out, but
      for its first.

  References:
    Iyyer et al., Deep Unordered Composition Rivals Syntactic Methods for Text
    Classification, 2015, section 3.1 (word dropout).
  """
  lengths: tuple[int, ...] = (32, 64, 128)
  batch_size: int = 32
  prefix: str = ''
  token_dropout: float = 0.0

  def __post_init__(self):
    if not self.lengths or sorted(set(self.lengths)) != list(self.lengths) or (
        self.lengths[0] < 3):
      raise errors.InputError(
          'features.lengths should be increasing numbers from 3 on; got '
          f'{self.lengths}.')
    if self.batch_size < 1:
      raise errors.InputError(
          f'features.batch_size should be at least 1; got {self.batch_size}.')
    if not 0 <= self.token_dropout < 1:
      raise errors.InputError(
          'features.token_dropout should be in [0, 1); got '
          f'{self.token_dropout}.')

  def build(self, examples: Sequence[task_lib.Example],
            labels: Sequence[str], tokenizer: tokenizer_lib.Tokenizer
            ) -> 'Rows':
    """Returns the examples of a split, tokenized.

    Raises:
      InputError: If an example has another label than those.
    """
    longest = self.lengths[-1]
    before = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    after = [] if tokenizer.eos_id is None else [tokenizer.eos_id]
    room = longest - len(before) - len(after)
    tokens = np.zeros((len(examples), longest), np.int32)
    sizes = np.zeros(len(examples), np.int32)
    truncated = 0
    for i, example in enumerate(examples):
      text = tokenizer.encode(self.prefix + example.text)
      truncated += len(text) > room
      ids = np.concatenate([before, text[:room], after])
      tokens[i, :len(ids)], sizes[i] = ids, len(ids)
    place = {label: i for i, label in enumerate(labels)}
    for example in examples:
      if example.label not in place:
        raise errors.InputError(
            f'{example.where}: label {example.label!r} is none of the '
            f'{len(labels)} classes {list(labels)[:20]}.'
            f'{config.near(example.label, labels)}')
    targets = np.array([place[example.label] for example in examples], np.int32)
    return Rows(self, tokens, sizes, targets, truncated)


@dataclasses.dataclass(frozen=True)
class Rows:
  """The tokenized examples of a split.

  Attributes:
    features: How batches are made of them.
    tokens: Ids, [examples, longest], zeros after each text's end.
    sizes: Tokens of each example.
    labels: Class id of each.
    truncated: How many lost their tail.
  """
  features: Features
  tokens: np.ndarray
  sizes: np.ndarray
  labels: np.ndarray
  truncated: int

  def once(self) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Yields (numbers of the examples, batch): each example exactly once.

    Batches that are not full end in rows of weight 0, which have no number.
    """
    for length, indices in self.by_length():
      for start in range(0, len(indices), self.features.batch_size):
        chosen = indices[start:start + self.features.batch_size]
        yield chosen, self.batch(chosen, length)

  def batches(self, seed: int) -> 'Batches':
    """Returns the training batches."""
    if not len(self.sizes):
      raise errors.InputError('There is no training example.')
    return Batches(self, seed)

  def describe(self) -> str:
    """Returns how many there are, how long, and what was cut."""
    longest = self.features.lengths[-1]
    return (
        f'{len(self.sizes):,} examples, {self.sizes.mean():.1f} tokens on '
        f'average; {self.truncated:,} longer than {longest} keep their head')

  def by_length(self) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (row length, the examples that take it, in their order)."""
    low = 0
    for length in self.features.lengths:
      yield length, np.flatnonzero((self.sizes > low) & (self.sizes <= length))
      low = length

  def batch(self, chosen: np.ndarray, length: int,
             rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
    """Returns the rows of some examples, filled up to the batch size.

    Args:
      chosen: Their numbers, at most a batch of them.
      length: Tokens a row.
      rng: For token dropout; None leaves all tokens in.
    """
    missing = self.features.batch_size - len(chosen)
    fill = functools.partial(np.pad, pad_width=(0, missing))
    tokens = np.pad(self.tokens[chosen, :length], ((0, missing), (0, 0)))
    sizes = fill(self.sizes[chosen])
    if rng is not None and self.features.token_dropout:
      tokens, sizes = drop_tokens(
          tokens, sizes, self.features.token_dropout, rng)
    columns = np.arange(length, dtype=np.int32)[None]
    real = columns < sizes[:, None]
    return {
        'inputs': tokens * real, 'positions': columns * real,
        'segments': real.astype(np.int32), 'labels': fill(self.labels[chosen]),
        'weights': fill(np.ones(len(chosen), np.float32))}


@dataclasses.dataclass(frozen=True)
class Batches:
  """Training batches, each a function of the step and the seed.

  An epoch shuffles the examples, cuts batches of rows of one length, and
  shuffles these. What does not fill a batch joins the longer rows, so that
  every example comes exactly once an epoch, and only one batch has rows of
  weight 0.
  """
  rows: Rows
  seed: int
  index: int = 0  # Which part of each batch this gives,
  count: int = 1  # and of how many.

  def __post_init__(self):
    object.__setattr__(self, '_plan', functools.lru_cache(2)(self._plan))

  @property
  def steps_per_epoch(self) -> int:
    return -(-len(self.rows.sizes) // self.rows.features.batch_size)

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
    """Returns part `index` of `count`; all joined are the global batch.

    Raises:
      InputError: If the rows of a batch do not divide.
    """
    if (rows := self.rows.features.batch_size) % count:
      raise errors.InputError(
          f'task.features.batch_size={rows} should be a multiple of the '
          f'{count} shards.')
    return dataclasses.replace(self, index=index, count=count)

  def documents(self, step: int) -> list[list[int]]:
    """Returns the number of the example in each row of a step's batch."""
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


def drop_tokens(tokens: np.ndarray, sizes: np.ndarray, rate: float,
                rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
  """Leaves out tokens at random, but for the first of each row.

  Args:
    tokens: Ids [B, T], each row's from the left.
    sizes: Tokens of each row, [B].
    rate: The chance of a token to be left out.
    rng: Where chance comes from.

  Returns:
    The tokens left, moved together, and their numbers.
  """
  real = np.arange(tokens.shape[1])[None] < sizes[:, None]
  keep = real & (rng.random(tokens.shape) >= rate)
  keep[:, 0] = real[:, 0]
  order = np.argsort(~keep, axis=1, kind='stable')
  kept = np.take_along_axis(tokens * keep, order, axis=1)
  return kept, keep.sum(axis=1).astype(sizes.dtype)


def predict(logits: Callable[[Any, dict[str, np.ndarray]], Any], params: Any,
            rows: Rows, num_classes: int) -> np.ndarray:
  """Returns the logits of every example of a split, [examples, classes].

  Args:
    logits: `logits(params, batch)` -> logits_BC, a compiled model or any other.
    params: Handed to it.
    rows: The split.
    num_classes: C.
  """
  out = np.full((len(rows.sizes), num_classes), np.nan, np.float32)
  scored = np.zeros(len(rows.sizes), int)
  for chosen, batch in rows.once():
    out[chosen] = np.asarray(logits(params, batch))[:len(chosen)]
    scored[chosen] += 1
  if not (scored == 1).all():  # The promise of this function, kept or broken.
    raise RuntimeError(f'{(scored != 1).sum()} examples not scored just once.')
  return out


@dataclasses.dataclass(frozen=True)
class Metrics:
  """What a classifier is judged by: accuracy and macro-F1, beside baselines.

  Attributes:
    baselines: Names in `baselines.BASELINES`, fitted to the training split.
  """
  baselines: tuple[str, ...] = ('majority', 'naive_bayes')

  def __post_init__(self):
    for name in self.baselines:
      if name not in baselines_lib.BASELINES:
        raise errors.InputError(
            f'metrics.baselines has {name!r}; choose from '
            f'{sorted(baselines_lib.BASELINES)}.'
            f'{config.near(name, baselines_lib.BASELINES)}')

  def result(self, logits: np.ndarray, rows: Rows, labels: Sequence[str]
             ) -> classification.Classification:
    """Returns how well logits [examples, C] tell the classes of rows apart."""
    return classification.Classification.of(
        rows.labels, logits.argmax(axis=-1), labels)

  def numbers(self, logits: np.ndarray, rows: Rows,
              labels: Sequence[str]) -> dict[str, float]:
    """Returns the mean loss in nats, accuracy and macro-F1."""
    result = self.result(logits, rows, labels)
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    nll = np.log(np.exp(wide).sum(axis=-1)) - np.take_along_axis(
        wide, rows.labels[:, None], axis=-1)[:, 0]
    return {'loss': float(nll.mean()), 'accuracy': result.accuracy,
            'macro_f1': result.macro_f1}

  def baseline_results(self, splits: task_lib.Splits, rows: Rows
                       ) -> dict[str, classification.Classification]:
    """Fits the baselines to training; returns how they do on the test split."""
    texts = [example.text for example in splits.test]
    out = {}
    for name in self.baselines:
      fitted = baselines_lib.BASELINES[name].fit(splits.train, splits.labels)
      out[fitted.name] = self.result(fitted(texts), rows, splits.labels)
    return out


@dataclasses.dataclass(frozen=True)
class Classification(task_lib.Task):
  """Text classification; see `task.Task`."""
  source: Source = docstrings.Docstrings()
  features: Features = Features()
  objective: labels_lib.Labels = labels_lib.Labels()
  metrics: Metrics = Metrics()
