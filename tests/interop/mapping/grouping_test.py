"""Numbered names are said in few words."""
import pytest

from lmjax.interop.mapping import grouping


@pytest.mark.parametrize('names, want', [
    (['a.0.w', 'a.1.w', 'a.2.w'], ['a.{0..2}.w']),
    (['a.0.w', 'a.2.w'], ['a.{0,2}.w']),
    (['a.7.w'], ['a.7.w']),
    (['layer_0/in', 'layer_1/in'], ['layer_{0..1}/in']),
    ([f'h.{i}.e.{j}.w' for i in range(3) for j in range(2)],
     ['h.{0..2}.e.{0..1}.w']),
    (['conv1d.w', 'conv2d.w'], ['conv1d.w', 'conv2d.w']),
    ([], []),
])
def test_names_that_differ_in_a_number_are_one_entry(names, want):
  assert grouping.grouped(names) == want


def test_more_names_than_can_be_read_are_counted():
  assert grouping.grouped('abcdef', most=3) == ['a', 'b', 'and 4 more']


def test_entries_are_in_the_order_of_their_numbers():
  assert grouping.grouped(['b.10', 'a.2.x', 'a.10.y'], 9) == [
      'a.2.x', 'a.10.y', 'b.10']
