"""From a source of text to batches that are a function of the step."""
from collections.abc import Iterator, Mapping
import dataclasses
import pathlib
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.data import continuous
from lmjax.data import corruption as corruption_lib
from lmjax.data import packing as packing_lib
from lmjax.data import pairs
from lmjax.data import text as text_lib
from lmjax.data.text import documents as documents_lib
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data import token_store as store_lib
from lmjax.data import tokenizers
from lmjax.data.tokenizers import specials as specials_lib
from lmjax.data.tokenizers import subwords
from lmjax.data.tokenizers import tokenizer as tokenizer_lib

Packing = (packing_lib.Config | continuous.Continuous | pairs.NextSentence
           | pairs.SentenceOrder)


_PURPOSES = {'train': 'train on', 'valid': 'validate on', 'test': 'test on'}


@dataclasses.dataclass(frozen=True)
class DataConfig:
  """What a language model is trained and tested on.

  Attributes:
    source: Where text comes from.
    split: What is held out of it; None trains on all of it.
    tokenizer: How text becomes ids.
    specials: Ids beyond text that an objective asks for, such as '[MASK]'.
    sentinels: How many ids <extra_id_0>, ... follow them, for denoising.
    packing: How documents become rows.
    corruption: What makes a task of each row, such as hiding spans of it; rows
      are then cut so that what comes of them fits `length`. None: nothing.
    length: Tokens a row; None takes the model's context.
    batch_size: Rows a step, over all devices and microbatches.
    seed: Of the order of documents and rows.
    cache: Folder of tokenized text, which runs share; None puts it beside the
      run.
  """
  source: text_lib.Config = sources.Embedded()
  split: splits.Config | None = splits.HashSplit()
  tokenizer: tokenizers.Config = subwords.SentencePiece()
  specials: tuple[str, ...] = ()
  sentinels: int = 0
  packing: Packing = packing_lib.Packed()
  corruption: corruption_lib.Config | None = None
  length: int | None = None
  batch_size: int = 32
  seed: int = 0
  cache: str | None = None

  def __post_init__(self):
    for name in 'length', 'batch_size':
      value = getattr(self, name)
      if value is not None and value < 1:
        raise errors.InputError(f'{name} should be at least 1; got {value}.')
    if self.seed < 0:
      raise errors.InputError(f'seed should be at least 0; got {self.seed}.')
    if isinstance(self.packing, continuous.Continuous):
      self.packing.check(self.batch_size)

  def build(self, directory: str | pathlib.Path,
            tokenizer: tokenizer_lib.Tokenizer | None = None,
            length: int | None = None) -> 'Data':
    """Tokenizes what the cache does not have; returns the data, ready.

    Args:
      directory: Where the cache goes if `cache` is None.
      tokenizer: One to use instead of building what the config says, such as
        that of a pretrained model.
      length: Tokens a row where the config leaves it open.

    Raises:
      InputError: If the text cannot be read, split, encoded or packed.
    """
    if tokenizer is None:
      tokenizer = self.build_tokenizer()
    cache = self.cache or pathlib.Path(directory) / 'cache'
    stores = {}
    for name in splits.NAMES:
      part = self.part(name)
      stores[name] = part and store_lib.cached(part, tokenizer, cache)
    return Data(self, tokenizer, self.length or length, **stores)

  def part(self, name: str) -> documents_lib.Source | None:
    """Returns the source of one split, or None where there is none."""
    if self.split is None:
      return self.source if name == 'train' else None
    return self.split.select(self.source, name)

  def build_tokenizer(self) -> tokenizer_lib.Tokenizer:
    """Builds the tokenizer on the part of the text that it may learn from."""
    names = {'nothing': (), 'train': ('train',), 'all': splits.NAMES}
    parts = [self.part(name) for name in names[self.tokenizer.needs]]
    tokenizer = self.tokenizer.build(
        text for part in parts if part is not None
        for text in part.documents())
    if not self.specials and not self.sentinels:
      return tokenizer
    return specials_lib.Extended(tokenizer, self.specials, self.sentinels)


@dataclasses.dataclass(frozen=True)
class Data:
  """Tokenized splits and the tokenizer that made them.

  Attributes:
    config: What they were built from.
    tokenizer: Text to ids and back.
    length: Tokens a row, or None if it is still open.
    train: The ids to train on.
    valid: The ids to validate on, or None.
    test: The ids of the final test, or None.
  """
  config: DataConfig
  tokenizer: tokenizer_lib.Tokenizer
  length: int | None
  train: store_lib.TokenStore
  valid: store_lib.TokenStore | None
  test: store_lib.TokenStore | None

  def batches(self, split: str = 'train') -> 'Batches':
    """Returns the batches of a split, as training sees them."""
    if self.length is None:
      raise errors.InputError(
          'length is open: set it in the data config, or give build a length.')
    config, store = self.config, getattr(self, split)
    corruption, length = config.corruption, self.length
    if corruption is not None:
      length = corruption.raw_length(length)
    rows = config.packing.build(store, length, config.seed, self.tokenizer)
    if corruption is not None:
      rows = corruption.build(rows, self.tokenizer, length, config.seed)
    fingerprint = self._contents(split) | {
        'data.packing': repr(config.packing),
        'data.corruption': repr(corruption), 'data.length': length,
        'data.batch_size': config.batch_size, 'data.seed': config.seed}
    return Batches(
        rows, config.batch_size, length, self.tokenizer.vocab_size, fingerprint,
        tokenizer=self.tokenizer)

  def hashes(self) -> dict[str, str]:
    """Returns digests of the tokenizer, the tokens of each split, and every
    file they are from, each by the field of the run's config that names it."""
    names = [name for name in splits.NAMES if getattr(self, name) is not None]
    return {key: value for name in names
            for key, value in self._contents(name).items()}

  def _contents(self, split: str) -> dict[str, str]:
    store = getattr(self, split)
    apart = (isinstance(self.config.split, splits.Separate)
             and split != 'train')
    field = 'data.split' if apart else 'data.source'
    return {
        'data.tokenizer: ids': self.tokenizer.digest,
        f'{field}: tokens to {_PURPOSES[split]}': store.digest,
        **{f'{field}: {name}': text
           for name, text in store.meta['source'].items()}}

  def describe(self) -> str:
    """Returns a line on the tokenizer and one on each split."""
    lines = [self.tokenizer.describe()]
    for name in splits.NAMES:
      store = getattr(self, name)
      if store is not None:
        counts = ', '.join(
            f'{value:,} {key}' for key, value in store.meta['counts'].items()
            if key != 'documents' and value)
        lines.append(
            f'{name}: {store.num_documents:,} documents, '
            f'{store.meta["text_bytes"]:,} bytes, {store.num_tokens:,} tokens'
            + (f' ({counts})' if counts else ''))
    return '\n'.join(lines)


@dataclasses.dataclass(frozen=True)
class Batches:
  """Training batches, each a function of the step: call it with one.

  Nothing is remembered between steps, so a run resumes exactly from its step
  number, and processes that feed different devices need not talk.

  Attributes:
    source: The rows to draw from.
    batch_size: Rows of a global batch.
    length: Tokens a row.
    vocab_size: Ids must be below it.
    fingerprint: What the sequence of batches depends on, by the field of the
      run's config that says it; runs that differ in any of it see other
      batches.
    index: Which shard of each global batch this gives.
    count: How many shards there are.
    tokenizer: What the ids are of, to say more where one is wrong.
  """
  source: packing_lib.Rows
  batch_size: int
  length: int
  vocab_size: int
  fingerprint: Mapping[str, Any]
  index: int = 0
  count: int = 1
  tokenizer: tokenizer_lib.Tokenizer | None = None

  def __call__(self, step: int) -> dict[str, np.ndarray]:
    """Returns the batch of a step: arrays [batch_size / count, length].

    Raises:
      InputError: If it holds an id that the vocabulary has not.
    """
    parts = [self.source.rows(*part) for part in self._parts(step)]
    batch = parts[0] if len(parts) == 1 else {
        key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    for name, ids in batch.items():
      if name.endswith(('inputs', 'targets')) and not (
          0 <= ids.min() <= ids.max() < self.vocab_size):
        self._refuse(step, name, ids)
    return batch

  def _refuse(self, step: int, name: str, ids: np.ndarray) -> None:
    """Raises InputError that says which id it is, and where."""
    row, column = np.argwhere((ids < 0) | (ids >= self.vocab_size))[0]
    around = ids[row, max(0, column - 8):column + 8].tolist()
    raise errors.InputError(
        f'Batch {step} (that of step {step + 1}, if none was left out), row '
        f'{row}, column {column} of {name}: id {ids[row, column]} is outside '
        f'the vocabulary of {self.vocab_size} ids, 0 to {self.vocab_size - 1}. '
        f'The row is of documents {self.documents(step)[row]}; the ids around '
        f'are {around}{self._text(around)}. Either another tokenizer made '
        'the tokens, or their store is damaged: delete its folder in the cache '
        'to have it built again.')

  def _text(self, ids: list[int]) -> str:
    """Returns what ids say, with ? for those that say nothing."""
    if self.tokenizer is None:
      return ''
    raw = b''.join(self.tokenizer.token_bytes(i) if 0 <= i < min(
        self.vocab_size, self.tokenizer.vocab_size) else b'?' for i in ids)
    return f', {raw.decode("utf-8", "replace")!r}'

  def documents(self, step: int) -> list[list[int]]:
    """Returns the documents of each row of a step's batch.

    They are numbers in the token store, in the order in which the row has
    them: those of its inputs, and of the target after the last input where it
    counts.
    """
    rows = [row for part in self._parts(step)
            for row in self.source.documents(*part).tolist()]
    return [[n for n in dict.fromkeys(row) if n >= 0] for row in rows]

  def _parts(self, step: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the epoch, and the rows of it, that a batch is made of."""
    size = self.batch_size // self.count
    first = step * self.batch_size + self.index * size
    epochs, indices = np.divmod(
        np.arange(first, first + size), self.source.num_rows)
    for epoch in np.unique(epochs):
      yield int(epoch), indices[epochs == epoch]

  def shard(self, index: int, count: int) -> 'Batches':
    """Returns shard `index` of `count`; all joined are the global batch."""
    if count < 1 or self.batch_size % count:
      raise errors.InputError(
          f'batch_size={self.batch_size} should be a multiple of the {count} '
          'shards.')
    if not 0 <= index < count:
      raise errors.InputError(f'Shard {index} of {count} does not exist.')
    return dataclasses.replace(self, index=index, count=count)

  @property
  def tokens_per_batch(self) -> int:
    """Positions of a global batch, padding and document starts included."""
    return self.batch_size * self.length

  @property
  def steps_per_epoch(self) -> float:
    return self.source.num_rows / self.batch_size
