"""A softmax's tags and their loss."""
import numpy as np
import pytest

from lmjax.objectives import labels
from lmjax.tasks.taggers import independent
from lmjax.tasks.taggers import tags

TAGGER = independent.Independent()


def test_tags_and_their_loss_by_hand():
  logits_TC = np.full((4, 3), np.nan)  # Elsewhere: never read.
  logits_TC[[1, 3]] = np.log([[.6, .2, .2], [.3, .2, .5]]) + 2
  args = logits_TC, [1, None, 3], tags.Known([0, 2], [1, 2]), ('O', 'B', 'I')
  found = TAGGER.tags(*args, 'independent')
  assert found.best_W.tolist() == [0, 0, 2]
  assert found.nll == pytest.approx(-np.log(.2) - np.log(.5))
  assert TAGGER.tags(*args, 'valid').best_W.tolist() == [0, 0, 0]


@pytest.mark.slow
def test_the_loss_is_the_objectives():
  logits = np.random.default_rng(0).normal(size=(1, 4, 3)).astype(np.float32)
  batch = {'labels': np.array([[0, 2, 0, 1]]), 'weights': np.eye(4)[:1] + 0.}
  objective = labels.Labels(label_smoothing=0.2)
  TAGGER.check(objective)
  found = TAGGER.means(logits, batch, objective)
  assert found['loss'].value == objective.means(logits, batch)['loss'].value
  assert found['loss'].value != found['nll'].value
  assert TAGGER.joined(np.zeros((6, 5, 3)), 2).shape == (2, 15, 3)
