"""Tags that are independent of each other, given the text."""
from collections.abc import Sequence
import dataclasses
from typing import ClassVar

import jax
import numpy as np

from lmjax.core import metrics
from lmjax.evaluation.downstream.tags import entities
from lmjax.nn import crf
from lmjax.objectives import labels as labels_lib
from lmjax.tasks.taggers import tags as tags_lib


@dataclasses.dataclass(frozen=True)
class Independent:
  """A softmax over the tags of each word; a `tags.Tagger`."""
  decode: ClassVar[tags_lib.Decode] = 'independent'

  def check(self, objective: labels_lib.Labels) -> None:
    """See `tags.Tagger`; all objectives suit."""
    del objective

  def means(self, scores: jax.Array, batch: tags_lib.Batch,
            objective: labels_lib.Labels) -> dict[str, metrics.Mean]:
    """See `tags.Tagger`; `scores` are `logits_BTC`."""
    return objective.means(scores, batch)

  def joined(self, scores: jax.Array, rows: int) -> jax.Array:
    """See `tags.Tagger`."""
    return scores.reshape(rows, -1, scores.shape[-1])

  def outputs(self, scores: jax.Array, batch: tags_lib.Batch,
              allowed: crf.Allowed | None) -> jax.Array:
    """Returns `logits_BTC`."""
    del batch, allowed
    return scores

  def tags(self, output: np.ndarray, columns: Sequence[int | None],
           known: tags_lib.Known, labels: Sequence[str],
           decode: tags_lib.Decode) -> tags_lib.Tags:
    """See `tags.Tagger`; `output` is `logits_TC`."""
    found_SC = np.asarray(output, np.float64)[tags_lib.seen(columns)]
    found_SC -= found_SC.max(axis=-1, keepdims=True)
    found_SC -= np.log(np.exp(found_SC).sum(axis=-1, keepdims=True))
    log_p_WC = tags_lib.spread(found_SC, columns)
    best_W = log_p_WC.argmax(axis=-1)
    if decode == 'valid':
      best_W = entities.best_valid(log_p_WC, labels)
    return tags_lib.Tags(
        best_W, log_p_WC, -sum(log_p_WC[word, label]
                               for word, label in zip(*known)))
