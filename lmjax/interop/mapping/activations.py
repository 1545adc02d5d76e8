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


def name(activation: layers.Activation, usual: str | None = None) -> str:
  """Returns the name of an activation that is written.

  Args:
    activation: The activation.
    usual: The name that files of a family usually have. It is written if it is
      a name of the activation, although there are others.

  Example:
    >>> name('gelu_tanh'), name('gelu_tanh', 'gelu_new')
    ('gelu_pytorch_tanh', 'gelu_new')
  """
  if usual is not None and BY_NAME[usual] == activation:
    return usual
  return _WRITTEN[activation]
