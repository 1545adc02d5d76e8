"""Puzzles have the answers they should, and cost what they should."""
import math

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.synthetic import puzzles

PUZZLES = [
    puzzles.Copy(3, 2, 5, 400), puzzles.AssociativeRecall(5, 3, 4, 3, 400),
    puzzles.Parity(1, 6, 400), puzzles.ModularAddition(23, 400)]


def losses(source, text):
  numbers = np.array([source.alphabet.index(c) for c in text], int)
  p = source.predictions(numbers, begins=True)
  np.testing.assert_allclose(p.sum(axis=1), 1)
  return -np.log(p[np.arange(len(text) + 1),
                   np.append(numbers, p.shape[1] - 1)])


@pytest.mark.parametrize('source', PUZZLES, ids=lambda s: type(s).__name__)
def test_the_entropy_is_what_the_optimum_loses(source):
  texts = list(source.documents())
  nats = np.array([losses(source, text).sum() for text in texts])
  entropy = source.entropy()
  deviation = 3.5 / len(texts) ** 0.5
  assert nats.mean() == pytest.approx(
      entropy.document, abs=deviation * nats.std() + 1e-9)
  lengths = np.array([len(text) + 1 for text in texts])
  assert lengths.mean() == pytest.approx(
      entropy.tokens, abs=deviation * lengths.std() + 1e-9)


def test_answers_are_right_and_cost_nothing():
  copy, recall, parity, addition = PUZZLES
  for text in copy.documents():
    word, again = text.split('|')
    assert word == again
    assert not losses(copy, text)[len(word) + 1:].any()
  for text in recall.documents():
    shown, asked = text.split('|')
    pairs = dict(zip(shown[::2], shown[1::2]))
    assert len(pairs) == 4
    assert all(pairs[k] == v for k, v in zip(asked[::2], asked[1::2]))
    nats = losses(recall, text)[9:]
    np.testing.assert_allclose(nats, [math.log(4), 0] * 3 + [0])
  for text in parity.documents():
    bits, answer = text.split('=')
    assert bits.count('1') % 2 == int(answer)
    assert not losses(parity, text)[len(bits) + 1:].any()
  for text in addition.documents():
    a, b, c = map(int, text.replace('=', '+').split('+'))
    assert (a + b) % 23 == c and len(text) == 8
    nats = losses(addition, text)
    assert nats[:3].sum() == pytest.approx(math.log(23))
    assert not nats[5:].any()


def test_every_length_and_digit_occurs():
  copy, _, _, addition = PUZZLES
  assert {len(text.split('|')[0]) for text in copy.documents()} == {2, 3, 4, 5}
  assert {text[:2] for text in addition.documents()} == {
      f'{n:02d}' for n in range(23)}


@pytest.mark.parametrize('make, message', [
    (lambda: puzzles.Copy(min_length=5, max_length=4), 'got 5 and 4'),
    (lambda: puzzles.AssociativeRecall(keys=3), 'pairs should be at most keys'),
    (lambda: puzzles.ModularAddition(1), 'modulus should be at least 2'),
])
def test_impossible_puzzles_are_refused(make, message):
  with pytest.raises(errors.InputError, match=message):
    make()
