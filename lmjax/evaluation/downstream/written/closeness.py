"""How close the meaning of texts is to their references, by an encoder."""
from collections.abc import Callable, Sequence

import numpy as np

from lmjax.core import errors
from lmjax.evaluation import embeddings
from lmjax.evaluation import estimates


def closeness(texts: Sequence[str], references: Sequence[Sequence[str]],
              embed: Callable[[Sequence[str]], np.ndarray]
              ) -> estimates.Estimate:
  """Returns the mean cosine of texts and their references, with its error.

  With several references, the closest counts. Values depend on the encoder, so
  compare only those of one.

  Args:
    texts: The texts; one without a letter has a cosine of 0.
    references: One or more references of each text.
    embed: Returns the vectors of texts, [texts, D], as the method `embed` of a
      loaded run does.

  Raises:
    InputError: If there is no text, or not as many texts as references.
  """
  if not len(texts) or len(texts) != len(references):
    raise errors.InputError(
        'closeness should get as many texts as lists of references, and some; '
        f'got {len(texts)} and {len(references)}.')
  real = [i for i, text in enumerate(texts) if text.strip()]
  values = np.zeros(len(texts))
  if real:
    vectors_ND = embed([texts[i] for i in real])
    others_ND = embed([each for i in real for each in references[i]])
    ends = np.cumsum([len(references[i]) for i in real])
    for i, vector_D, some_MD in zip(
        real, vectors_ND, np.split(others_ND, ends[:-1])):
      values[i] = embeddings.similarity(vector_D[None], some_MD).max()
  return estimates.mean(values)
