"""Activations by the names that a `config.json` has for them."""
from lmjax.nn import layers

BY_NAME: dict[str, layers.Activation] = {
    'gelu': 'gelu',
    'gelu_python': 'gelu',
    'gelu_new': 'gelu_tanh',
    'gelu_fast': 'gelu_tanh',
    'gelu_pytorch_tanh': 'gelu_tanh',
    'gelu_accurate': 'gelu_tanh',
    'relu': 'relu',
    'relu2': 'squared_relu',
    'silu': 'silu',
    'swish': 'silu',
}
_WRITTEN = {'gelu': 'gelu', 'gelu_tanh': 'gelu_pytorch_tanh', 'relu': 'relu',
            'squared_relu': 'relu2', 'silu': 'silu'}


def name(activation: layers.Activation) -> str:
  """Returns the name of an activation that is written."""
  return _WRITTEN[activation]
