"""What the two branches of a block may be: a mixer and a feed-forward network.

A new kind is a file of its own and a word in the union here.
"""
from lmjax.core import errors
from lmjax.nn import attention
from lmjax.nn import layers
from lmjax.nn.mixture import experts
from lmjax.nn import ssm

Mixer = attention.AttentionConfig | ssm.SSMConfig
MLP = layers.MLPConfig | experts.MixtureOfExperts


def check_dropout(rate: float) -> None:
  """Raises InputError unless a block's rate of dropout is one."""
  if not 0 <= rate < 1:
    raise errors.InputError(
        f'block.dropout should be in [0, 1); got {rate}.')
