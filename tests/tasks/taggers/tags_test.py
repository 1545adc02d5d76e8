"""Log-probabilities of words that the model does not see."""
import numpy as np

from lmjax.tasks.taggers import tags


def test_a_word_that_is_not_seen_has_the_first_tag():
  columns = [3, None, 5]
  assert tags.seen(columns) == [3, 5]
  found = tags.spread(np.log([[.5, .5], [.25, .75]]), columns)
  np.testing.assert_allclose(np.exp(found), [[.5, .5], [1, 0], [.25, .75]])
  assert tags.spread(np.zeros((0, 2)), [None]).tolist() == [[0, -np.inf]]
