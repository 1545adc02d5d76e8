"""An embedding that begins with the vectors of words in a file."""
import dataclasses

import numpy as np

from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.interop.formats import vectors as vectors_lib
from lmjax.models.counted import word_vectors


@dataclasses.dataclass(frozen=True)
class VectorFile:
  """Vectors of words from a file of GloVe, word2vec or fastText.

  A token takes the vector of the word that it stands for, without spaces around
  it; if there is none, that of the word in lower case. Other tokens, such as
  pieces of words, keep their initial vectors.

  Attributes:
    path: A file, or a folder; see `interop.formats.vectors.read`.
  """
  path: user_paths.Path = ''

  def table(self, documents: word_vectors.Documents,
            tokenizer: tokenizer_lib.Tokenizer) -> word_vectors.Table:
    """Returns the vectors of those tokens that have one.

    Raises:
      InputError: If there is no file, it cannot be read, or it has none of the
        tokens.
    """
    del documents  # Nothing is learned.
    if not self.path:
      raise errors.InputError(
          'VectorFile needs a file: --config.vectors.path=glove.6B.50d.txt.')
    vectors = vectors_lib.read(self.path)
    rows, found = [], []
    for token in range(tokenizer.vocab_size):
      word = tokenizer.token_bytes(token).decode('utf-8', 'ignore').strip()
      vector = vectors.vector(word) if word else None
      if vector is None and word:
        vector = vectors.vector(word.lower())
      if vector is not None:
        rows.append(token)
        found.append(vector)
    if not rows:
      raise errors.InputError(
          f'{self.path} has vectors of {len(vectors.words):,} words, but of '
          f'none of the {tokenizer.vocab_size:,} tokens; a tokenizer of whole '
          'words would have some: --config.data.tokenizer.kind=Words.')
    return word_vectors.Table(
        np.stack(found).astype(np.float32), np.asarray(rows),
        f'{self.path}: vectors of {len(rows):,} of {tokenizer.vocab_size:,} '
        f'tokens ({len(rows) / tokenizer.vocab_size:.1%}), of '
        f'{len(vectors.words):,} words in the file.')
