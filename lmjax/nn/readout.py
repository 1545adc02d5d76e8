"""What a model makes of a text, whatever the model: its hidden states."""
import flax.linen as nn
import jax

from lmjax.nn import masks


def states(model: nn.Module, inputs_BT: jax.Array, positions_BT: jax.Array,
           segments_BT: jax.Array, *, causal: bool = True, train: bool = False
           ) -> jax.Array:
  """Returns the hidden states of each token, `x_BTD`.

  Those of the method `encode`, where a model has a part that reads a text as a
  whole (an encoder-decoder's encoder, XLNet's content stream), else of
  `hidden`. To be called inside a module, or as
  `model.apply(variables, ..., method=readout.states)`.

  Args:
    model: A module with a `config`.
    inputs_BT: Token ids.
    positions_BT: Their positions, from 0.
    segments_BT: Documents from 1, 0 for padding.
    causal: Whether a model that can read one way only does; one that was built
      to read both ways always does.
    train: Whether dropout is on.
  """
  encodes = hasattr(model, 'encode')
  causal = causal and not encodes and model.config.causal
  mask = masks.make(positions_BT, segments_BT, causal=causal)
  if encodes:
    return model.encode(inputs_BT, mask, train=train)
  return model.hidden(inputs_BT, mask, train=train)[0]
