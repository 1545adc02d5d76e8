"""Turns a source of text into batches that are a function of the step."""
from collections.abc import Iterator, Mapping
import dataclasses
import pathlib
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.core import ranges
from lmjax.data import continuous
from lmjax.data import corruption as corruption_lib
from lmjax.data import documents as documents_lib
from lmjax.data import packing as packing_lib
from lmjax.data import pairs
from lmjax.data import text as text_lib
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
@ranges.checked
class DataConfig:
  """The data that a language model is trained and tested on.

  Attributes:
    source: Where text comes from.
    split: How documents are held out; None trains on all of them.
    tokenizer: How text becomes ids.
    specials: Special tokens that an objective needs, such as '[MASK]'.
    sentinels: Number of ids <extra_id_0>, ... after them, for denoising.
    packing: How documents become rows.
    corruption: How each row becomes a task, for example by hiding spans; rows
      are then cut so that the result fits `length`. None leaves rows unchanged.
    length: Tokens in a row; None takes the model's context.
    batch_size: Rows in a step, over all devices and microbatches.
    seed: Seed of the order of documents and rows.
    cache: Folder of tokenized text, which runs can share; None puts it into the
      run's directory.
  """
  source: text_lib.Config = sources.Embedded()
  split: splits.Config | None = splits.HashSplit()
  tokenizer: tokenizers.Config = subwords.SentencePiece()
  specials: tuple[str, ...] = ()
  sentinels: ranges.Natural = 0
  packing: Packing = packing_lib.Packed()
  corruption: corruption_lib.Config | None = None
  length: ranges.Count | None = None
  batch_size: ranges.Count = 32
  seed: ranges.Seed = 0
  cache: user_paths.Path | None = None

  def __post_init__(self):
    if isinstance(self.packing, continuous.Continuous):
      self.packing.check(self.batch_size)

  def build(self, directory: str | pathlib.Path,
            tokenizer: tokenizer_lib.Tokenizer | None = None,
            length: int | None = None) -> 'Data':
    """Returns the data, after tokenizing splits that are not in the cache.

    Args:
      directory: Parent folder of the cache if `cache` is None.
      tokenizer: Tokenizer to use instead of building the config's, such as the
        tokenizer of a pretrained model.
      length: Tokens in a row if the config's `length` is None.

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
    data = Data(self, tokenizer, self.length or length, **stores)
    data.check_held_out()
    return data

  def part(self, name: str) -> documents_lib.Source | None:
    """Returns the source of one split, or None if there is no such split."""
    if self.split is None:
      return self.source if name == 'train' else None
    return self.split.select(self.source, name)

  def vocab_size(self) -> int | None:
    """Returns the size of the vocabulary if it is known without text, or None.

    Example:
      >>> DataConfig(tokenizer=subwords.SentencePiece(vocab_size=800),
      ...            specials=('[MASK]',)).vocab_size()
      801
    """
    size = self.tokenizer.asked
    if self.tokenizer.needs == 'nothing':
      size = self.tokenizer.build().vocab_size
    return size and size + len(self.specials) + self.sentinels

  def build_tokenizer(self) -> tokenizer_lib.Tokenizer:
    """Returns the tokenizer, built on the splits that it may learn from."""
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
    config: The config that they were built from.
    tokenizer: The tokenizer.
    length: Tokens in a row, or None if not known.
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

  def check_held_out(self) -> None:
    """Checks that a held-out end of a text fills a row.

    Raises:
      InputError: If `EndSplit` left too little text.
    """
    for name in splits.NAMES[1:]:
      store = getattr(self, name)
      if store and store.num_tokens <= (self.length or 0) and (
          store.meta['notes']):
        raise errors.InputError(
            f'{store.meta["notes"][-1]} That leaves {store.num_tokens} tokens '
            f'to {_PURPOSES[name]}, but a row needs {self.length + 1}: give '
            f'more text, set --config.data.split.{name} higher (or to 0), or '
            'shorten --config.model.context.')

  def batches(self, split: str = 'train') -> 'Batches':
    """Returns the batches of a split for training."""
    if self.length is None:
      raise errors.InputError(
          'length is not known: set it in the data config, or pass it to build.'
      )
    config, store = self.config, getattr(self, split)
    corruption, length = config.corruption, self.length
    if corruption is not None:
      length = corruption.raw_length(length, self.tokenizer)
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
    """Returns digests of the tokenizer, each split's tokens, and its files.

    Keys begin with the field of the run's config that chooses the part.
    """
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
            f'{name}: {store.num_documents:,} '
            f'document{"s" * (store.num_documents != 1)}, '
            f'{store.meta["text_bytes"]:,} bytes, {store.num_tokens:,} tokens'
            + (f' ({counts})' if counts else ''))
    return '\n'.join([*lines, *self.notes])

  @property
  def notes(self) -> tuple[str, ...]:
    """Sentences on the data that a reader of results must know."""
    stores = [getattr(self, name) for name in splits.NAMES]
    return tuple(dict.fromkeys([
        *self.tokenizer.shortfall(self.config.tokenizer.asked),
        *(note for store in stores if store for note in store.meta['notes'])]))


@dataclasses.dataclass(frozen=True)
class Batches:
  """Training batches; a batch is a function of the step: `batches(step)`.

  There is no state between steps, so a run resumes exactly from its step
  number, and processes that feed different devices need not communicate.

  Attributes:
    source: The rows to draw from.
    batch_size: Rows in a global batch.
    length: Tokens in a row.
    vocab_size: Number of ids; a larger id is an error.
    fingerprint: Everything that the sequence of batches depends on, by the
      field of the run's config; runs that differ in it see other batches.
    index: Number of the shard of each global batch that is returned.
    count: Number of shards.
    tokenizer: Tokenizer of the ids, for messages about a wrong id.
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
      InputError: If it holds an id that is not in the vocabulary.
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
    """Raises an InputError that names the first wrong id and its place."""
    row, column = np.argwhere((ids < 0) | (ids >= self.vocab_size))[0]
    around = ids[row, max(0, column - 8):column + 8].tolist()
    raise errors.InputError(
        f'Batch {step} (of step {step + 1}, if no batch was skipped), row '
        f'{row}, column {column} of {name}: id {ids[row, column]} is outside '
        f'the vocabulary of {self.vocab_size} ids, 0 to {self.vocab_size - 1}. '
        f'The row has documents {self.documents(step)[row]}; the ids around '
        f'it are {around}{self._text(around)}. Either another tokenizer made '
        'the tokens, or their store is damaged: delete its folder in the cache '
        'to have it built again.')

  def _text(self, ids: list[int]) -> str:
    """Returns the text of ids for a message, with ? for ids without text."""
    if self.tokenizer is None:
      return ''
    raw = b''.join(self.tokenizer.token_bytes(i) if 0 <= i < min(
        self.vocab_size, self.tokenizer.vocab_size) else b'?' for i in ids)
    return f', {raw.decode("utf-8", "replace")!r}'

  def documents(self, step: int) -> list[list[int]]:
    """Returns the documents of each row of a step's batch.

    A document is its number in the token store. A row's list follows the order
    of its inputs, and includes the document of the last target if that has a
    weight.
    """
    rows = [row for part in self._parts(step)
            for row in self.source.documents(*part).tolist()]
    return [[n for n in dict.fromkeys(row) if n >= 0] for row in rows]

  def _parts(self, step: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (epoch, indices of its rows) for each epoch a batch draws from."""
    size = self.batch_size // self.count
    first = step * self.batch_size + self.index * size
    epochs, indices = np.divmod(
        np.arange(first, first + size), self.source.num_rows)
    for epoch in np.unique(epochs):
      yield int(epoch), indices[epochs == epoch]

  def shard(self, index: int, count: int) -> 'Batches':
    """Returns shard `index` of `count`; all shards make the global batch."""
    if count < 1 or self.batch_size % count:
      raise errors.InputError(
          f'batch_size={self.batch_size} should be a multiple of the {count} '
          'shards.')
    if not 0 <= index < count:
      raise errors.InputError(f'Shard {index} of {count} does not exist.')
    return dataclasses.replace(self, index=index, count=count)

  def describe(self) -> str:
    """Returns a line on the size of a batch and of an epoch."""
    return (f'batches: {self.batch_size:,} x {self.length:,} = '
            f'{self.tokens_per_batch:,} tokens a step, '
            f'{self.steps_per_epoch:,.1f} steps an epoch')

  @property
  def tokens_per_batch(self) -> int:
    """Tokens in a global batch, padding and document starts included."""
    return self.batch_size * self.length

  @property
  def steps_per_epoch(self) -> float:
    return self.source.num_rows / self.batch_size
