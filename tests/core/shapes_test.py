"""Names spell axes, and axes agree."""
import numpy as np
import pytest

from lmjax.core import shapes


def test_binds_each_letter_to_its_size():
  d = shapes.bind(x_BTD=np.zeros((2, 3, 4)), mask_BT=np.zeros((2, 3)), y_V=None)
  assert vars(d) == {'B': 2, 'T': 3, 'D': 4}


def test_a_size_that_disagrees_names_both_arrays():
  with pytest.raises(ValueError, match=r'k_BH has H=6, but q_BH has H=8'):
    shapes.bind(q_BH=np.zeros((2, 8)), k_BH=np.zeros((2, 6)))


def test_a_wrong_rank_names_the_axes():
  with pytest.raises(ValueError, match=r'x_BTD should have 3 axes \(BTD\)'):
    shapes.bind(x_BTD=np.zeros((2, 3)))


def test_a_repeated_letter_means_equal_sizes():
  shapes.bind(w_DD=np.zeros((3, 3)))
  with pytest.raises(ValueError, match='w_DD has D=4'):
    shapes.bind(w_DD=np.zeros((3, 4)))


def test_a_list_is_no_array():
  with pytest.raises(ValueError, match='x_BT should be .* got a list'):
    shapes.bind(x_BT=[[1, 2]])
