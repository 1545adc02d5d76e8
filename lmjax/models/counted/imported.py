"""N-gram models that other tools counted, read from ARPA files."""
from collections.abc import Iterable, Sequence
import dataclasses
import pathlib
from typing import Annotated

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.models.counted import ngram
from lmjax.models.counted import ngram_counts


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Imported:
  """An n-gram model from an ARPA file; experiments/convert_ngram.py reads it.

  Attributes:
    order: Length of the longest n-grams.
  """
  order: Annotated[int, ranges.Range(1, ngram_counts.MAX_ORDER)] = 5

  @property
  def title(self) -> str:
    """The name of the model in a report."""
    return f'{self.order}-gram of an ARPA file'

  def load(self, path: str | pathlib.Path) -> ngram.Ngram:
    """Returns the saved model; see `ngram.load`."""
    return ngram.load(path)

  def fit(self, documents: Iterable[Sequence[int]], vocab_size: int,
          bos_id: int | None) -> ngram.Ngram:
    """Raises InputError, as the model is not counted here."""
    del documents, vocab_size, bos_id
    raise errors.InputError(
        'The model Imported is read from an ARPA file by '
        'experiments/convert_ngram.py --arpa=FILE; to count text, set '
        '--config.model.kind=NgramConfig.')
