"""Weights of classes by hand, and those that are refused."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.tasks.readers.texts import class_weights
from lmjax.tasks import task

SPLITS = task.Splits(
    [task.Example('x', label, '') for label in 'aab=cc='], [], [],
    ('=', 'a', 'b', 'c'))


def test_named_classes_have_their_weights_and_others_1():
  found = class_weights.by_class(('b=2.5', '==3'), SPLITS)
  assert found.tolist() == [3, 1, 2.5, 1] and found.dtype == np.float32


def test_balanced_classes_have_the_same_total():
  found = class_weights.by_class(('balanced',), SPLITS)
  np.testing.assert_allclose(found * [2, 2, 1, 2], 7 / 4)


@pytest.mark.parametrize('weights, words', [
    (('d=1',), "task.weights has 'd', which is not one of the 4 labels"),
    (('a=1', 'a=2'), "'a' twice"), (('a',), "pairs such as 'spam=5'"),
    (('a=0',), 'positive number'), (('a=x',), "positive number; got 'x'"),
    (('a=inf',), 'positive'), (('a=nan',), 'positive'),
    (('balanced', 'a=1'), "'balanced' alone")])
def test_other_weights_are_refused(weights, words):
  with pytest.raises(errors.InputError, match=words):
    class_weights.by_class(weights, SPLITS)
