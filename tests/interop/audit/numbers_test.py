from lmjax.interop.audit import numbers


def test_a_number_is_no_other_of_itself():
  assert list(numbers.others(1.0, [1.0 + 1e-6, 2.0, None])) == [2.0, None]


def test_none_differs_from_every_number():
  assert list(numbers.others(None, [None, 0.0])) == [0.0]
