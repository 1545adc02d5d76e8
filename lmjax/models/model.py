"""The protocol of a model, and its traits: the abilities of each family."""
from collections.abc import Callable
import dataclasses
from typing import Any, Protocol

import jax

from lmjax.nn import masks
from lmjax.nn.mixture import experts


@dataclasses.dataclass(frozen=True)
class Traits:
  """The abilities of a model, which other code checks before it uses them.

  A config returns them from its property `traits`. An ability that is not
  listed there is not used, even if the model has it.

  Attributes:
    causal: Tokens see only earlier tokens, so `logits` predicts the next token.
    both_ways: Tokens also see later tokens, so `logits` can predict masked
      tokens.
    attends: The mask alone decides which tokens a token sees. A recurrent mixer
      always reads from left to right, so it does not have this trait.
    encodes: There is a method `encode`, which encodes a whole text.
    reads_source: `encode` reads a separate text, the source, and `hidden` takes
      its result as `memory_BSD`.
    two_stream: `hidden` takes `order_BT` and predicts tokens in that order.
    types: Number of token types that the model distinguishes, such as tokens of
      the first and the second text of a pair. With 2 or more, `hidden` and
      `encode` take `types_BT`, from 0.
    cached: The model satisfies `Cached`: it can continue a text.
    carries_state: The cache is a state that can be carried to the next batch,
      and a method `outputs` returns the last layer before and after dropout.
    blocks: The config has the fields `block` and `pattern` of a Transformer, so
      dropout can be set to one rate in all blocks.
    stages: The largest number of equal, consecutive parts into which the layers
      can be cut, for pipeline parallelism; 0 if they cannot be cut.
    offloads: Activations are kept in the host's memory for the backward pass.
    mixture: The config of the first mixture of experts in the blocks, or None.
    heads: The values that the model can compute from hidden states: 'tokens'
      (`logits`), 'pooler' (`pooled`), 'pairs' (`pair_logits`), 'replaced'
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
    vocab_size: Vocabulary size V; None until `with_vocab` sets it.
    context: The longest text, in tokens.
    width: Size D of hidden states.
    num_layers: Number of layers.
    dtype: Dtype of activations and matrix products.
    traits: The abilities of the model.
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
    """Returns the config with its vocabulary size set; see `vocabulary`."""

  def build(self, attend: Callable[..., jax.Array]) -> 'Model':
    """Returns the module; `attend` replaces the arithmetic of attention."""


class Model(Protocol):
  """A Flax module that maps token ids to hidden states and logits.

  Your own module works with every objective and evaluation that its traits
  allow if it has these three members and its config has `traits`.
  """
  config: ModelConfig

  def hidden(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
             train: bool = False) -> tuple[jax.Array, Any]:
    """Returns hidden states, `x_BTD`, and the cache or None."""

  def logits(self, x_BTD: jax.Array) -> jax.Array:
    """Returns float32 `logits_BTV` for hidden states."""


class Cached(Model, Protocol):
  """A model that can continue from the tokens that it has read."""

  def hidden(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
             cache: Any = None, train: bool = False) -> tuple[jax.Array, Any]:
    """Returns hidden states, `x_BTD`, and the cache with T more tokens."""

  def empty_cache(self, batch: int, length: int) -> Any:
    """Returns a cache with room for `length` tokens in each of `batch` rows."""
