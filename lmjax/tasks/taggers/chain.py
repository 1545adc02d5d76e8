"""Tags that depend on their neighbours: a conditional random field."""
from collections.abc import Mapping, Sequence
import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.models.heads import chain as chain_lib
from lmjax.nn import crf
from lmjax.objectives import labels as labels_lib
from lmjax.tasks.taggers import tags as tags_lib


@dataclasses.dataclass(frozen=True)
class Chain:
  """One distribution over the tag sequences of a sentence; a `tags.Tagger`.

  The chain runs over the words: over the columns of their first subwords. The
  loss is minus the log-probability of the known tags of a sentence, divided by
  their number, so it is per word, as a softmax's is. The probability of a tag
  is its marginal probability.
  """
  decode: ClassVar[tags_lib.Decode] = 'valid'

  def check(self, objective: labels_lib.Labels) -> None:
    """See `tags.Tagger`.

    Raises:
      InputError: If the objective is not the plain likelihood.
    """
    if objective != labels_lib.Labels():
      raise errors.InputError(
          'task.head = CRFConfig is trained by the likelihood of whole '
          f'sequences, which {objective} changes word by word: leave '
          'task.objective as it is, or choose '
          '--config.task.head.kind=TokenConfig.')

  def means(self, scores: chain_lib.Scores, batch: tags_lib.Batch,
            objective: labels_lib.Labels) -> dict[str, metrics.Mean]:
    """See `tags.Tagger`; 'loss' and 'nll' are the same."""
    del objective
    known_B = jnp.sum(batch['weights'] > 0, axis=1)
    mean = metrics.Mean.of(
        _nll(scores, batch) / jnp.maximum(known_B, 1), known_B)
    return {'loss': mean, 'nll': mean}

  def joined(self, scores: chain_lib.Scores, rows: int) -> chain_lib.Scores:
    """See `tags.Tagger`."""
    emissions_BTC = scores.emissions_BTC
    return scores._replace(emissions_BTC=emissions_BTC.reshape(
        rows, -1, emissions_BTC.shape[-1]))

  def outputs(self, scores: chain_lib.Scores, batch: tags_lib.Batch,
              allowed: crf.Allowed | None) -> dict[str, jax.Array]:
    """Returns log-marginals, the best valid tags, and the nll of known tags."""
    emissions_BTC, transitions = scores
    words_BT = batch['words'] > 0
    best_BT, _ = crf.viterbi(
        emissions_BTC, transitions.restricted(allowed), words_BT)
    return {'log_p': crf.log_marginals(emissions_BTC, transitions, words_BT),
            'best': best_BT, 'nll': _nll(scores, batch)}

  def tags(self, output: Mapping[str, np.ndarray],
           columns: Sequence[int | None], known: tags_lib.Known,
           labels: Sequence[str], decode: tags_lib.Decode) -> tags_lib.Tags:
    """See `tags.Tagger`; the best tags of sequences are already known."""
    del known, labels
    places = tags_lib.seen(columns)
    log_p_WC = tags_lib.spread(
        np.asarray(output['log_p'], np.float64)[places], columns)
    best_W = log_p_WC.argmax(axis=-1)
    if decode == 'valid':
      is_seen_W = np.array([column is not None for column in columns], bool)
      best_W[is_seen_W] = np.asarray(output['best'])[places]
    return tags_lib.Tags(best_W, log_p_WC, float(output['nll']))


def _nll(scores: chain_lib.Scores, batch: tags_lib.Batch) -> jax.Array:
  """Returns `nll_B` of the tags whose weight is not 0."""
  return crf.nll(*scores, batch['labels'], batch['weights'] > 0,
                 batch['words'] > 0)
