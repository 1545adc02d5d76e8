"""Differences are found, and told with their size and place."""
import jax
import numpy as np
import pytest

from lmjax.testing import compare


def told(function, *args):
  with pytest.raises(AssertionError) as raised:
    function(*args)
  return str(raised.value)


def test_identical_finds_one_bit_and_its_place():
  want = {'a': {'kernel': np.ones((2, 3), np.float32)}}
  got = jax.tree.map(np.copy, want)
  got['a']['kernel'][1, 2] = np.nextafter(np.float32(1), np.float32(2))
  message = told(compare.identical, 'The loss', got, want, 'Look there.')
  assert message.startswith('The loss (a/kernel) should be identical: 1 of 6 ')
  assert 'at index [1, 2] it is 1.0000001 instead of 1.' in message
  assert message.endswith('Look there.')


def test_signed_zeros_are_identical_and_nan_is_not():
  compare.identical('x', np.array([0.0]), np.array([-0.0]), '')
  assert 'nan' in told(
      compare.identical, 'x', np.array([np.nan]), np.array([np.nan]), '')


def test_close_is_relative_to_the_leaf():
  want = {'big': np.full(4, 1e6), 'small': np.full(4, 1e5)}
  got = {'big': want['big'] + 1, 'small': want['small'] + 1}
  compare.close('x', got, want, 2e-5, '')
  message = told(compare.close, 'x', got, want, 5e-6, 'Why.')
  assert message.startswith(
      'x (small) should agree to 5e-06 but is 1.0e-05 off')


def test_close_names_the_worst_place():
  want = np.ones((2, 3))
  got = want + [[0, 1e-3, 0], [0, 0, 0.5]]
  assert 'at index [1, 2] it is 1.5 instead of 1' in told(
      compare.close, 'x', got, want, 1e-5, '')


def test_rounding_of_a_leaf_that_is_zero_in_theory_is_forgiven():
  want = {'bias': np.full(4, 1e-9), 'kernel': np.ones(4)}
  got = {'bias': np.full(4, -1e-9), 'kernel': np.ones(4)}
  compare.close('x', got, want, 1e-5, '')
  told(compare.close, 'x', {'bias': want['bias']}, {'bias': got['bias']},
       1e-5, '')


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_nan_and_infinity_are_never_close(value):
  told(compare.close, 'x', np.array([1.0, value]), np.ones(2), 1.0, '')
  told(compare.close, 'x', np.ones(2), np.array([1.0, value]), 1.0, '')


def test_structures_and_shapes_are_compared_first():
  assert "['b']" in told(compare.close, 'x', {'a': 1.0, 'b': 2.0}, {'a': 1.0},
                         1.0, '')
  assert 'shape (2, 1), got (2,)' in told(
      compare.identical, 'x', np.ones(2), np.ones((2, 1)), '')


def test_keys_are_compared_by_their_data():
  compare.identical('rng', jax.random.key(1), jax.random.key(1), '')
  told(compare.identical, 'rng', jax.random.key(1), jax.random.key(2), '')
