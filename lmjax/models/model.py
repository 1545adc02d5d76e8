"""What a model is: the protocol of every family, and what each one can do."""
from collections.abc import Callable
import dataclasses
from typing import Any, Protocol

import jax

from lmjax.nn import masks
from lmjax.nn.mixture import experts


@dataclasses.dataclass(frozen=True)
class Traits:
  """What a model can do, as plain facts that others ask before they use it.

  A config answers with its property `traits`. An ability that a model has and
  does not name here is not used.

  Attributes:
    causal: Tokens see only what came before them, so that `logits` predicts the
      next token.
    both_ways: Tokens see what comes after them as well, so that `logits` can
      guess tokens that were masked.
    attends: The mask alone decides which tokens a token sees. A recurrent mixer
      reads from left to right whatever the mask says.
    encodes: A method `encode` reads a text as a whole.
    reads_source: `encode` reads a text of its own, the source, and `hidden`
      takes what it returns as `memory_BSD`.
    two_stream: `hidden` takes `order_BT` and predicts tokens in that order.
    types: How many types of token the model tells apart, such as the tokens of
      the first and the second text of a pair: `hidden` and `encode` take
      `types_BT`, from 0. A model with fewer than 2 is not given any.
    cached: The model satisfies `Cached`: it can continue a text.
    carries_state: The cache is a state that can be carried to the next batch,
      and a method `outputs` gives the last layer before and after dropout.
    blocks: The config has the fields of a Transformer of blocks, `block` and
      `pattern`, so that dropout can be set to one rate in all of them.
    stages: Into how many parts that are alike the layers can be cut, one after
      the other, for devices to hold some each; 0: they cannot.
    offloads: Activations wait in the host's memory for the backward pass.
    mixture: The config of the mixture of experts in its blocks, of the first
      that has one; or None.
    heads: What the model computes from hidden states: 'tokens' (`logits`),
      'pooler' (`pooled`), 'pairs' (`pair_logits`), 'replaced'
      (`replaced_logits`), 'ahead' (`ahead`, for further tokens), 'generator'
      (`generator_hidden`, of a model that proposes tokens).
  """
  causal: bool = False
  both_ways: bool = False
  attends: bool = False
  encodes: bool = False
  reads_source: bool = False
  two_stream: bool = False
  types: int = 0
  cached: bool = False
  carries_state: bool = False
  blocks: bool = False
  stages: int = 0
  offloads: bool = False
  mixture: experts.MixtureOfExperts | None = None
  heads: frozenset[str] = frozenset({'tokens'})


class ModelConfig(Protocol):
  """The frozen dataclass that builds a model.

  Attributes:
    vocab_size: V; None until `with_vocab` settles it.
    context: The longest text, in tokens.
    width: D, the size of hidden states.
    num_layers: How many layers.
    dtype: Of activations and products.
    traits: What the model can do.
  """
  vocab_size: int | None
  context: int
  width: int
  num_layers: int
  dtype: str

  @property
  def traits(self) -> Traits:
    ...

  def with_vocab(self, tokenizer_size: int) -> 'ModelConfig':
    """Returns the config with its vocabulary settled by the tokenizer's."""

  def build(self, attend: Callable[..., jax.Array]) -> 'Model':
    """Returns the module; `attend` replaces the arithmetic of attention."""


class Model(Protocol):
  """A Flax module that turns token ids into hidden states and logits.

  A module of yours that has these three members, and whose config has `traits`,
  works with every objective and evaluation that its traits allow.
  """
  config: ModelConfig

  def hidden(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
             train: bool = False) -> tuple[jax.Array, Any]:
    """Returns hidden states, `x_BTD`, and the cache or None."""

  def logits(self, x_BTD: jax.Array) -> jax.Array:
    """Returns float32 `logits_BTV` for hidden states."""


class Cached(Model, Protocol):
  """A model that can go on from the tokens it has read."""

  def hidden(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
             cache: Any = None, train: bool = False) -> tuple[jax.Array, Any]:
    """Returns hidden states, `x_BTD`, and the cache with T more tokens."""

  def empty_cache(self, batch: int, length: int) -> Any:
    """Returns a cache with room for `length` tokens in each of `batch` rows."""
