"""The kinds of mixers and feed-forward networks that a block can have.

To add a kind, write it in a new file and add it to the union here.
"""
from lmjax.core import errors
from lmjax.nn import attention
from lmjax.nn import layers
from lmjax.nn.mixture import experts
from lmjax.nn import ssm

Mixer = attention.AttentionConfig | ssm.SSMConfig
MLP = layers.MLPConfig | experts.MixtureOfExperts


def check_dropout(rate: float) -> None:
  """Raises InputError unless a block's dropout rate is in [0, 1)."""
  if not 0 <= rate < 1:
    raise errors.InputError(
        f'block.dropout should be in [0, 1); got {rate}.')
