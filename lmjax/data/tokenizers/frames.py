"""Frames: the ids that a tokenizer puts around a text, or around two texts."""
from collections.abc import Sequence
import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Frame:
  """The ids around the texts of a row, and the type of every id.

  A row of one text is `before` text `after`; a row of two texts is `before`
  text `between` text `after`.

  Attributes:
    before: The ids before the first text, as BOS or [CLS].
    between: The ids between two texts, as [SEP].
    after: The ids after the last text, as EOS or [SEP].
    types: The types of `before`, `between` and `after`, which embeddings of
      types (segments, in BERT) read.
    text_types: The type of the first text and of the second.

  References:
    Devlin et al., BERT, arXiv:1810.04805, figure 2.
  """
  before: tuple[int, ...] = ()
  between: tuple[int, ...] = ()
  after: tuple[int, ...] = ()
  types: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] = (
      (), (), ())
  text_types: tuple[int, int] = (0, 1)

  def __post_init__(self):
    if tuple(map(len, self.types)) != tuple(map(len, self.ids)):
      raise ValueError(
          f'A frame needs a type for each of its ids {self.ids}; got '
          f'{self.types}.')

  @property
  def ids(self) -> tuple[tuple[int, ...], ...]:
    """The ids before, between and after the texts."""
    return self.before, self.between, self.after

  @classmethod
  def of(cls, *ids: Sequence[int | None], texts: int) -> 'Frame':
    """Returns the frame of ids whose type is the index of the text before them.

    Args:
      *ids: The ids before, between and after the texts; those that are None are
        left out.
      texts: The number of texts, 1 or 2.

    Example:
      >>> Frame.of([1], [], [None, 2], texts=2).types
      ((0,), (), (1,))
    """
    ids = [tuple(i for i in some if i is not None) for some in ids]
    types = [(number,) * len(some)
             for some, number in zip(ids, (0, 0, texts - 1))]
    return cls(*ids, tuple(types))

  @classmethod
  def parsed(cls, ids: Sequence[int], types: Sequence[int],
             texts: Sequence[int | None]) -> 'Frame':
    """Returns the frame of a row that some tokenizer has laid out.

    Args:
      ids: The ids of the row.
      types: The type of each id.
      texts: The index of the text that each id is from; None for an id of the
        frame.
    """
    places = [[i for i, text in enumerate(texts) if text == number]
              for number in range(1 + max(t for t in texts if t is not None))]
    first, last = places[0], places[-1]
    parts = [slice(0, first[0]), slice(first[-1] + 1, last[0]),
             slice(last[-1] + 1, len(ids))]
    if len(places) == 1:
      parts[1] = slice(0, 0)
    return cls(*(tuple(ids[part]) for part in parts),
               tuple(tuple(types[part]) for part in parts),
               (types[first[0]], types[last[0]]))

  def around(self, texts: Sequence[np.ndarray]
             ) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """Returns the row of one text or of two.

    Args:
      texts: The ids of each text.

    Returns:
      The ids of the row, the type of each, and (start, end) of each text.
    """
    before, between, after = zip(self.ids, self.types)
    parts, types, spans = [before[0]], list(before[1]), []
    for number, text in enumerate(texts):
      ids, kinds = after if number == len(texts) - 1 else between
      spans.append((len(types), len(types) + len(text)))
      types += [self.text_types[number]] * len(text) + list(kinds)
      parts += [text, ids]
    return (np.concatenate(parts).astype(np.int32),
            np.array(types, np.int32), spans)

  def size(self, texts: int) -> int:
    """Returns the number of ids around one text or two."""
    return len(self.before) + len(self.between) * (texts - 1) + len(self.after)
