"""Patterns: which block each layer of a stack has, where the layers differ.

A pattern is part of a model's config. `Periodic` lists the layers explicitly;
`LocalGlobal` is the most common pattern. `arrange` applies a pattern to a
number of layers. Without a pattern all layers are alike.

In flags and JSON the layers of a pattern are items of a tuple:

  --config.model.pattern.kind=Periodic
  --config.model.pattern.first.0.kind=Layer
  --config.model.pattern.first.0.block.kind=PreNorm
"""
from collections.abc import Callable
import dataclasses
from typing import Annotated, Any, Literal, TypeVar

import jax

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.nn import block as block_lib
from lmjax.nn.mixture import experts
from lmjax.nn import positions as positions_lib

T = TypeVar('T')
Change = Callable[[block_lib.Config], block_lib.Config]
# Positions that a single layer can set: they act on queries and keys.
OwnPositions = positions_lib.NoPositions | positions_lib.Rotary


@dataclasses.dataclass(frozen=True)
class Layer:
  """One layer of a pattern.

  Attributes:
    block: The layer's block; None means the model's, `model.block`.
    positions: How positions enter the layer's attention; None means as in the
      model, `model.positions`. This does not change what the model's positions
      add to the embeddings.
  """
  block: block_lib.Config | None = None
  positions: OwnPositions | None = None

  def settled(self, block: block_lib.Config,
              positions: positions_lib.Positions) -> 'Layer':
    """Returns the layer with None replaced by the model's block or positions.
    """
    return Layer(self.block or block, self.positions or positions)

  def with_blocks(self, change: Change) -> 'Layer':
    """Returns the layer with `change` applied to its own block, if any."""
    return self if self.block is None else dataclasses.replace(
        self, block=change(self.block))


@dataclasses.dataclass(frozen=True)
class Periodic:
  """A period of layers that repeats, after optional separate first layers.

  Attributes:
    period: The layers of one period; the last period may be incomplete.
    first: Layers before the first period, such as dense ones before mixtures
      of experts.

  References:
    DeepSeek-AI, DeepSeek-V3, arXiv:2412.19437, section 4.2 (the first three
    layers are dense); Lieber et al., Jamba, arXiv:2403.19887, section 3.1
    (periods of attention and state-space layers).
  """
  period: tuple[Layer, ...] = (Layer(),)
  first: tuple[Layer, ...] = ()

  def __post_init__(self):
    if not self.period:
      raise errors.InputError(
          'model.pattern.period should hold at least one layer; got none.')
    if all(layer.block is not None for layer in self.first + self.period):
      raise errors.InputError(
          'Every layer of model.pattern has its own block, so '
          'model.block would be used by none: set it to the block of one of '
          'these layers, and leave out the block of that layer.')

  def settled(self, block: block_lib.Config,
              positions: positions_lib.Positions
              ) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """Returns the first layers and the layers of a period; see `Layer.settled`.
    """
    return tuple(tuple(layer.settled(block, positions) for layer in layers)
                 for layers in (self.first, self.period))

  def with_blocks(self, change: Change) -> 'Periodic':
    """Returns the pattern with `change` applied to its own blocks."""
    return dataclasses.replace(
        self, first=_with_blocks(self.first, change),
        period=_with_blocks(self.period, change))


@dataclasses.dataclass(frozen=True)
@ranges.checked
class LocalGlobal:
  """Local attention, with one global layer in every `every` layers.

  Attributes:
    window: Local layers see tokens closer than this many positions, on both
      sides where attention is not causal.
    every: One of this many layers is global.
    global_layer: Which of these layers is global: the first or the last.
    local_positions: How positions enter local layers; None means as in the
      model.
    first: Layers before the first period, as in `Periodic`.

  References:
    Black et al., GPT-Neo, 2021 (every other layer, the first is global); Gemma
    Team, Gemma 2, arXiv:2408.00118, section 2 (every other one, the first is
    local); Gemma 3, arXiv:2503.19786, section 2 (five local layers, then a
    global one, with other wavelengths); Warner et al., ModernBERT,
    arXiv:2412.13663, section 2.1 (every third, the first is global).
  """
  window: ranges.Count = 1024
  every: Annotated[int, ranges.Range(2)] = 6
  global_layer: Literal['first', 'last'] = 'last'
  local_positions: OwnPositions | None = None
  first: tuple[Layer, ...] = ()

  def settled(self, block: block_lib.Config,
              positions: positions_lib.Positions
              ) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """Returns the first layers and the layers of a period; see `Layer.settled`.

    Raises:
      InputError: If the block's mixer is not attention, and has no window.
    """
    if not block.mixer.attends:
      raise errors.InputError(
          'model.pattern = LocalGlobal sets the window of attention, which '
          f'{type(block.mixer).__name__} does not have: choose '
          '--config.model.block.mixer.kind=AttentionConfig, or '
          '--config.model.pattern.kind=Periodic.')
    local = Layer(
        dataclasses.replace(block, mixer=dataclasses.replace(
            block.mixer, window=self.window)),
        self.local_positions or positions)
    period = (local,) * (self.every - 1)
    everywhere = (Layer(block, positions),)
    return (tuple(layer.settled(block, positions) for layer in self.first),
            everywhere + period if self.global_layer == 'first'
            else period + everywhere)

  def with_blocks(self, change: Change) -> 'LocalGlobal':
    """Returns the pattern with `change` applied to its own blocks."""
    return dataclasses.replace(self, first=_with_blocks(self.first, change))


Pattern = Periodic | LocalGlobal


@dataclasses.dataclass(frozen=True)
class Arrangement:
  """The layers of one stack, in order, each with its block and positions.

  Attributes:
    first: The layers before the first period.
    period: The layers of one period.
    repeats: The number of complete periods.
    left: The number of layers of the incomplete period at the end.
    positions: The model's positions; their bias applies only to layers with
      these positions.
  """
  first: tuple[Layer, ...]
  period: tuple[Layer, ...]
  repeats: int
  left: int
  positions: positions_lib.Positions

  @property
  def layers(self) -> tuple[Layer, ...]:
    """All layers, in order."""
    return (self.first + self.period * self.repeats
            + self.period[:self.left])

  @property
  def stages(self) -> int:
    """The largest number of equal parts into which the layers can be cut."""
    return 0 if self.first or self.left else self.repeats

  @property
  def attends(self) -> bool:
    """Whether every mixer is attention, which respects the mask."""
    return all(layer.block.mixer.attends for layer in self.layers)

  @property
  def mixture(self) -> experts.MixtureOfExperts | None:
    """The mixture of experts of the first layer that has one, or None."""
    found = (layer.block.mlp.mixture for layer in self.layers)
    return next((each for each in found if each is not None), None)

  def check_width(self, width: int) -> None:
    """Raises InputError unless the heads of all layers divide the width."""
    for layer in self.layers:
      layer.block.mixer.size(width)

  def check_attends(self, why: str) -> None:
    """Raises InputError unless the mixers of all layers are attention.

    Args:
      why: Why attention is needed, such as 'An encoder reads both ways'; the
        start of the error message.
    """
    for layer in self.layers:
      if not layer.block.mixer.attends:
        raise errors.InputError(
            f'{why}, which {type(layer.block.mixer).__name__} cannot; set '
            '--config.model.block.mixer.kind=AttentionConfig.')

  def bias(self, layer: Layer, bias_BNTS: jax.Array | None
           ) -> jax.Array | None:
    """Returns the bias on a layer's attention logits, or None.

    Args:
      layer: One of the layers.
      bias_BNTS: The bias of the model's positions, or None.

    Raises:
      InputError: If the layer has a different number of heads than the bias.
    """
    if bias_BNTS is None or layer.positions != self.positions:
      return None
    mixer = layer.block.mixer
    if mixer.attends and mixer.num_heads != bias_BNTS.shape[1]:
      raise errors.InputError(
          f'{type(self.positions).__name__} positions add a bias to the logits '
          'of each head, so all layers need as many heads as model.block; got '
          f'{mixer.num_heads} in a layer and {bias_BNTS.shape[1]} in '
          'model.block.')
    return bias_BNTS

  def map_blocks(self, change: Callable[[Any], Any]) -> 'Arrangement':
    """Returns the arrangement with `change` applied to each layer's block."""
    return dataclasses.replace(
        self, first=_with_blocks(self.first, change),
        period=_with_blocks(self.period, change))


def arrange(pattern: Pattern | None, block: block_lib.Config, num_layers: int,
            positions: positions_lib.Positions) -> Arrangement:
  """Returns the layers of a stack.

  Args:
    pattern: How the layers differ; None means that all are alike.
    block: The model's block.
    num_layers: The number of layers.
    positions: The model's positions.

  Raises:
    InputError: If the pattern has more first layers than `num_layers`, or does
      not fit the block.
  """
  first, period = (), (Layer(block, positions),)
  if pattern is not None:
    first, period = pattern.settled(block, positions)
  if len(first) > num_layers:
    raise errors.InputError(
        f'model.num_layers is {num_layers}, but model.pattern.first holds '
        f'{len(first)} layers; remove some of these, or have more layers.')
  repeats, left = divmod(num_layers - len(first), len(period))
  return Arrangement(first, period, repeats, left, positions)


def with_blocks(config: T, change: Change) -> T:
  """Returns a model's config with `change` applied to every block.

  Args:
    config: A model config whose traits have `blocks`.
    change: Maps a block's config to a new one.
  """
  pattern = config.pattern
  return dataclasses.replace(
      config, block=change(config.block),
      pattern=None if pattern is None else pattern.with_blocks(change))


def _with_blocks(layers, change):
  return tuple(layer.with_blocks(change) for layer in layers)
