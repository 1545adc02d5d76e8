"""A source: the numbers in order, some to a document."""
from collections.abc import Iterator
import dataclasses

from lmjax.data import documents


@dataclasses.dataclass(frozen=True)
class Numerals(documents.Source):
  """Documents of ten numbers each, counted on."""
  num_documents: int = 200

  def fingerprint(self):
    return {'num_documents': self.num_documents}

  def _read(self, counts) -> Iterator[str]:
    del counts
    for start in range(self.num_documents):
      yield ' '.join(map(str, range(10 * start, 10 * start + 10)))
