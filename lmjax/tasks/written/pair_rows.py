"""Turns pairs of texts into rows of tokens, in batches of a few shapes."""
from collections.abc import Iterator, Sequence
import dataclasses
from typing import Annotated, Any
import zlib

import numpy as np

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.tasks import rows as rows_lib
from lmjax.tasks.written import example as example_lib
from lmjax.tasks.written import sides

_Length = Annotated[int, ranges.Range(2)]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class PairFeatures:
  """How sources and targets become rows of tokens.

  A pair takes the first place of `lengths` and `target_lengths` in which both
  of its texts fit; one program is compiled per place. Texts that are longer
  than the last are cut at their end, and counted.

  Attributes:
    lengths: Lengths of sources in tokens, those around a text included.
    target_lengths: Lengths of targets in tokens, with the one that ends a text;
      as many as `lengths`.
    batch_size: Pairs per step.
    prefix: Put before every source, such as 'translate English to German: '.
      With a space, the first word has the same subwords as within a text.
    target_prefix: Put before every target when it is learned; whitespace around
      a text that is written is stripped.
  """
  lengths: tuple[_Length, ...] = (16, 32, 64)
  target_lengths: tuple[_Length, ...] = (16, 32, 64)
  batch_size: ranges.Count = 64
  prefix: str = ' '
  target_prefix: str = ' '

  def __post_init__(self):
    for name in ('lengths', 'target_lengths'):
      found = getattr(self, name)
      if not found or sorted(found) != list(found):
        raise errors.InputError(
            f'features.{name} should be increasing numbers; got {found}.')
    if len(set(self.lengths)) < len(self.lengths) or (
        len(self.lengths) != len(self.target_lengths)):
      raise errors.InputError(
          'features.lengths and target_lengths should be equally many, the '
          f'former distinct; got {self.lengths} and {self.target_lengths}.')

  @property
  def longest(self) -> int:
    """The number of tokens of the longest source."""
    return self.lengths[-1]

  def build(self, pairs: Sequence[example_lib.Pair], layout: sides.Layout,
            tokenizer: tokenizer_lib.Tokenizer, asked: np.ndarray
            ) -> 'PairRows':
    """Returns the rows of pairs.

    Args:
      pairs: The pairs; targets may be unknown.
      layout: Where the model reads the source.
      tokenizer: Maps text to ids.
      asked: Whether a text is written for each pair, int32 [pairs].

    Raises:
      InputError: If no id ends a text, or a source has no tokens.
    """
    end, longest = sides.end(tokenizer), self.target_lengths[-1]
    sources, targets, cut = [], [], np.zeros(2, int)
    for pair in pairs:
      row, is_cut = layout.source(
          tokenizer.encode(self.prefix + pair.source), self.lengths[-1],
          tokenizer)
      if not len(row):
        raise errors.InputError(
            f'{pair.where}: the source {pair.source!r:.40} has no tokens; '
            'remove this pair.')
      sources.append(np.asarray(row, np.int32))
      target = np.append(tokenizer.encode(
          self.target_prefix + pair.targets[0]), end) if pair.targets else []
      cut += is_cut, len(target) > longest
      # A target that is cut has no end, so that the model learns no false one.
      targets.append(np.asarray(target[:longest], np.int32))
    place = np.maximum(*(
        np.searchsorted(lengths, [len(row) for row in rows])
        for rows, lengths in ((sources, self.lengths),
                              (targets, self.target_lengths))))
    ids = {
        'ends': end, 'known': tokenizer.vocab_size, 'asked': asked,
        'keys': np.array([zlib.crc32(row.tobytes()) for row in sources],
                         np.uint32)}
    return PairRows(
        self, np.zeros((len(pairs), 0), np.int32),
        np.array(self.lengths)[place], int(cut.sum()),
        {name: np.broadcast_to(
            np.asarray(x, None if name == 'keys' else np.int32), len(pairs))
         for name, x in ids.items()},
        tokenizer=tokenizer, layout=layout, sources=sources, targets=targets,
        cut=(int(cut[0]), int(cut[1])))


@dataclasses.dataclass(frozen=True)
class PairRows(rows_lib.Rows):
  """The tokenized pairs of a split.

  `sizes` has the source length of each pair's batches. `by_row` has the number
  that its draws depend on ('keys'), whether a text is written for it ('asked'),
  the id that ends one ('ends'), and the number of ids that can be drawn
  ('known').

  Attributes:
    tokenizer: Maps ids to text.
    layout: Where the model reads the source.
    sources: The ids of each source.
    targets: The ids of each target.
    cut: The number of sources and of targets that were cut.
  """
  tokenizer: tokenizer_lib.Tokenizer | None = None
  layout: sides.Layout = sides.Joined()
  sources: Sequence[np.ndarray] = ()
  targets: Sequence[np.ndarray] = ()
  cut: tuple[int, int] = (0, 0)

  def by_length(self) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (source length, indices of the pairs with it).

    Pairs for which a text is written come first, so that they share batches.
    """
    for length, indices in super().by_length():
      yield length, indices[np.argsort(
          -self.by_row['asked'][indices], kind='stable')]

  def batch(self, chosen: np.ndarray, length: int,
            rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
    """Returns the rows of some pairs; see `rows.Rows`."""
    del rng  # Nothing is drawn.
    features = self.features
    place = features.lengths.index(length)
    missing = features.batch_size - len(chosen)
    arrays = self.layout.batch(
        [self.sources[i] for i in chosen], [self.targets[i] for i in chosen],
        self.layout.start(self.tokenizer),
        (features.batch_size, length, features.target_lengths[place]))
    return arrays | {name: np.pad(x[chosen], (0, missing))
                     for name, x in self.by_row.items()}

  def describe(self) -> str:
    """Returns a description: number of pairs, average lengths, number cut."""
    if not len(self):
      return 'no pair'
    mean = lambda rows: np.mean([len(row) for row in rows])
    return (
        f'{len(self):,} pairs, {mean(self.sources):.1f} tokens to read and '
        f'{mean(self.targets):.1f} to write on average; {self.cut[0]:,} '
        f'sources longer than {self.features.longest} and {self.cut[1]:,} '
        f'targets longer than {self.features.target_lengths[-1]} keep their '
        'head')

  def text(self, ids: Any) -> str:
    """Returns the text of ids that were written, without whitespace around."""
    return self.tokenizer.decode(ids).strip()
