"""A head on the hidden state of each token whose outputs form a chain."""
from collections.abc import Callable
import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax

from lmjax.core import ranges
from lmjax.models.heads import token
from lmjax.nn import attend as attend_lib
from lmjax.nn import crf
from lmjax.nn import layers


class Scores(NamedTuple):
  """The scores of a chain.

  Attributes:
    emissions_BTC: The score of each output for each token, float32.
    transitions: The scores of outputs that follow each other.
  """
  emissions_BTC: jax.Array
  transitions: crf.Transitions


@dataclasses.dataclass(frozen=True)
@ranges.checked
class CRFConfig:
  """A linear-chain conditional random field on the hidden states of words.

  A linear layer scores each word's outputs, and a table scores outputs that
  follow each other, so that a word's output also depends on those of its
  neighbours; see `nn.crf`. The table is 0 at first: the head begins as
  `token.TokenConfig`.

  Attributes:
    causal: Whether a decoder's tokens see only earlier tokens, as in
      `token.TokenConfig`.
    dropout: Dropout rate on the hidden states.
    init_std: Standard deviation of the head's initial kernel.
    constrained: Whether sequences that are not allowed, such as an I without a
      B before it, have probability 0, in training as well.

  References:
    Lample et al., Neural Architectures for Named Entity Recognition,
    arXiv:1603.01360, section 2.2. Papay et al., Constraining Linear-Chain CRFs
    to Regular Languages, arXiv:2106.07306 (constraints in training).
  """
  causal: bool = False
  dropout: ranges.Rate = 0.1
  init_std: ranges.NonNegative = 0.02
  constrained: bool = True

  def build(self, backbone: Any, outputs: int, head: str = 'tags',
            attend: Callable[..., jax.Array] = attend_lib.best,
            allowed: crf.Allowed | None = None) -> token.Token:
    """Returns the module, whose calls return `Scores`.

    Its parameters are those of `token.Token`, and the table's `start` [C],
    `step` [C, C] and `stop` [C] under a name such as `tags_chain`.

    Args:
      backbone: The config of any trained model, with its vocabulary size.
      outputs: C, the number of outputs per token.
      head: The name of the head in the parameters.
      attend: Replaces the arithmetic of attention.
      allowed: Which outputs may follow each other; None allows everything.
    """
    return token.Token(self, backbone, outputs, head, attend, allowed)

  def scores(self, x_BTD: jax.Array, outputs: int, head: str,
             allowed: crf.Allowed | None, policy: layers.Policy, *, train: bool
             ) -> Scores:
    """Returns the scores; to be called inside a compact module."""
    x_BTD = layers.Dropout(
        self.dropout, deterministic=not train, name='token_dropout')(x_BTD)
    emissions_BTC = layers.Head(
        outputs, policy, use_bias=True, name=head)(x_BTD)
    transitions = _Table(outputs, name=f'{head}_chain')()
    return Scores(emissions_BTC, transitions.restricted(
        allowed if self.constrained else None))


class _Table(nn.Module):
  """The scores of outputs that follow each other, as float32 parameters."""
  outputs: int

  @nn.compact
  def __call__(self) -> crf.Transitions:
    return crf.Transitions(*(
        self.param(name, nn.initializers.zeros, (self.outputs,) * rank)
        for name, rank in (('start', 1), ('step', 2), ('stop', 1))))
