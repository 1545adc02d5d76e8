"""The kinds of mixers and feed-forward networks that a block can have.

To add a kind, write it in a new file and add it to the union here.
"""
from lmjax.nn import attention
from lmjax.nn import layers
from lmjax.nn.mixture import experts
from lmjax.nn import ssm

Mixer = attention.AttentionConfig | ssm.SSMConfig
MLP = layers.MLPConfig | experts.MixtureOfExperts
