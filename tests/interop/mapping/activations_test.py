"""Activations have the names of config.json."""
import typing

from lmjax.interop.mapping import activations
from lmjax.nn import layers


def test_every_activation_has_a_name_that_is_read_as_itself():
  for activation in typing.get_args(layers.Activation):
    assert activations.BY_NAME[activations.name(activation)] == activation


def test_gelu_is_the_exact_one_and_its_approximation_is_not():
  assert activations.BY_NAME['gelu'] == 'gelu'
  assert activations.BY_NAME['gelu_new'] == 'gelu_tanh'


def test_the_usual_name_of_a_family_is_written_if_it_fits():
  assert activations.name('gelu_tanh', 'gelu_new') == 'gelu_new'
  assert activations.name('relu', 'gelu_new') == 'relu'
