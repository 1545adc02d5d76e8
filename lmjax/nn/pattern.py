"""Which block each layer of a stack has, where its layers differ.

A pattern is part of a model's config: `Periodic` spells the layers out, and
`LocalGlobal` is the one that most models have. `arrange` settles it for a
number of layers. Without a pattern all layers are alike.

In flags and JSON the layers of a pattern are items of a tuple:

  --config.model.pattern.kind=Periodic
  --config.model.pattern.first.0.kind=Layer
  --config.model.pattern.first.0.block.kind=PreNorm
"""
from collections.abc import Callable
import dataclasses
from typing import Any, Literal, TypeVar

import jax

from lmjax.core import errors
from lmjax.nn import block as block_lib
from lmjax.nn.mixture import experts
from lmjax.nn import positions as positions_lib

T = TypeVar('T')
Change = Callable[[block_lib.Config], block_lib.Config]
# Positions that a layer can have of its own: they act on queries and keys.
OwnPositions = positions_lib.NoPositions | positions_lib.Rotary


@dataclasses.dataclass(frozen=True)
class Layer:
  """One layer of a pattern.

  Attributes:
    block: Its block; None takes the model's, `model.block`.
    positions: How positions enter its attention, instead of the model's; None
      takes the model's, `model.positions`. What the model's add to the
      embeddings stays.
  """
  block: block_lib.Config | None = None
  positions: OwnPositions | None = None

  def settled(self, block: block_lib.Config,
              positions: positions_lib.Positions) -> 'Layer':
    """Returns the layer with the model's block and positions for None."""
    return Layer(self.block or block, self.positions or positions)

  def with_blocks(self, change: Change) -> 'Layer':
    """Returns the layer with its block, if it has its own, changed."""
    return self if self.block is None else dataclasses.replace(
        self, block=change(self.block))


@dataclasses.dataclass(frozen=True)
class Periodic:
  """Some layers apart, then a period of layers that repeats to the end.

  Attributes:
    period: The layers of a period; the last one may be cut short.
    first: Layers before it, such as dense ones before mixtures of experts.

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
          'Every layer of model.pattern has a block of its own, so that '
          'model.block would be used by none: make it the block of one of '
          'them, and leave out the block there.')

  def settled(self, block: block_lib.Config,
              positions: positions_lib.Positions
              ) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """Returns the layers apart and those of a period, see `Layer.settled`."""
    return tuple(tuple(layer.settled(block, positions) for layer in layers)
                 for layers in (self.first, self.period))

  def with_blocks(self, change: Change) -> 'Periodic':
    """Returns the pattern with the blocks that it has of its own changed."""
    return dataclasses.replace(
        self, first=_with_blocks(self.first, change),
        period=_with_blocks(self.period, change))


@dataclasses.dataclass(frozen=True)
class LocalGlobal:
  """Attention that is local, and global in one of every so many layers.

  Attributes:
    window: Local layers see tokens closer than this many positions, on both
      sides where attention is not causal.
    every: One of this many layers is global.
    global_layer: Which one of them: the first, or the last.
    local_positions: How positions enter local layers, instead of the model's;
      None takes the model's.
    first: Layers before all of these, as in `Periodic`.

  References:
    Black et al., GPT-Neo, 2021 (every other layer, the first is global); Gemma
    Team, Gemma 2, arXiv:2408.00118, section 2 (every other one, the first is
    local); Gemma 3, arXiv:2503.19786, section 2 (five local layers, then a
    global one, with other wavelengths); Warner et al., ModernBERT,
    arXiv:2412.13663, section 2.1 (every third, the first is global).
  """
  window: int = 1024
  every: int = 6
  global_layer: Literal['first', 'last'] = 'last'
  local_positions: OwnPositions | None = None
  first: tuple[Layer, ...] = ()

  def __post_init__(self):
    if self.window < 1 or self.every < 2:
      raise errors.InputError(
          'model.pattern needs window >= 1 and every >= 2; got '
          f'{self.window} and {self.every}.')

  def settled(self, block: block_lib.Config,
              positions: positions_lib.Positions
              ) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """Returns the layers apart and those of a period, see `Layer.settled`.

    Raises:
      InputError: If the block's mixer does not attend, and has no window.
    """
    if not block.mixer.attends:
      raise errors.InputError(
          'model.pattern = LocalGlobal gives attention a window, which '
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
    """Returns the pattern with the blocks that it has of its own changed."""
    return dataclasses.replace(self, first=_with_blocks(self.first, change))


Pattern = Periodic | LocalGlobal


@dataclasses.dataclass(frozen=True)
class Arrangement:
  """The layers of one stack, in order: each has its block and positions.

  Attributes:
    first: Layers apart.
    period: Layers that repeat after them.
    repeats: How many times all of these come.
    left: How many of them, from the first on, come once more at the end.
    positions: The model's own, whose bias is for layers that have them.
  """
  first: tuple[Layer, ...]
  period: tuple[Layer, ...]
  repeats: int
  left: int
  positions: positions_lib.Positions

  @property
  def layers(self) -> tuple[Layer, ...]:
    """All layers."""
    return (self.first + self.period * self.repeats
            + self.period[:self.left])

  @property
  def stages(self) -> int:
    """Into how many parts that are alike the layers can be cut at most."""
    return 0 if self.first or self.left else self.repeats

  @property
  def attends(self) -> bool:
    """Whether the mask decides in every layer which tokens a token sees."""
    return all(layer.block.mixer.attends for layer in self.layers)

  @property
  def mixture(self) -> experts.MixtureOfExperts | None:
    """The mixture of experts of the first layer that has one, or None."""
    found = (layer.block.mlp.mixture for layer in self.layers)
    return next((each for each in found if each is not None), None)

  def check_width(self, width: int) -> None:
    """Raises InputError unless a width divides into the heads of all layers."""
    for layer in self.layers:
      layer.block.mixer.size(width)

  def check_attends(self, why: str) -> None:
    """Raises InputError unless the mixers of all layers attend.

    Args:
      why: What a model does that others cannot: 'An encoder reads both ways'.
    """
    for layer in self.layers:
      if not layer.block.mixer.attends:
        raise errors.InputError(
            f'{why}, which {type(layer.block.mixer).__name__} cannot; set '
            '--config.model.block.mixer.kind=AttentionConfig.')

  def bias(self, layer: Layer, bias_BNTS: jax.Array | None
           ) -> jax.Array | None:
    """Returns what is added to a layer's logits of attention.

    Args:
      layer: One of the layers.
      bias_BNTS: Of the model's positions.

    Raises:
      InputError: If the layer has another number of heads.
    """
    if bias_BNTS is None or layer.positions != self.positions:
      return None
    mixer = layer.block.mixer
    if mixer.attends and mixer.num_heads != bias_BNTS.shape[1]:
      raise errors.InputError(
          f'{type(self.positions).__name__} positions add a bias to the logits '
          'of each head, so that all layers need as many heads as model.block; '
          f'got {mixer.num_heads} in a layer and {bias_BNTS.shape[1]} there.')
    return bias_BNTS

  def map_blocks(self, change: Callable[[Any], Any]) -> 'Arrangement':
    """Returns the arrangement with each layer's block changed."""
    return dataclasses.replace(
        self, first=_with_blocks(self.first, change),
        period=_with_blocks(self.period, change))


def arrange(pattern: Pattern | None, block: block_lib.Config, num_layers: int,
            positions: positions_lib.Positions) -> Arrangement:
  """Returns which layers a stack has.

  Args:
    pattern: How they differ; None: all are alike.
    block: The model's block.
    num_layers: How many there are.
    positions: The model's positions.

  Raises:
    InputError: If the pattern has more layers apart than there are, or does not
      fit the block.
  """
  first, period = (), (Layer(block, positions),)
  if pattern is not None:
    first, period = pattern.settled(block, positions)
  if len(first) > num_layers:
    raise errors.InputError(
        f'model.num_layers is {num_layers}, but model.pattern.first holds '
        f'{len(first)} layers; leave out some there, or have more layers.')
  repeats, left = divmod(num_layers - len(first), len(period))
  return Arrangement(first, period, repeats, left, positions)


def with_blocks(config: T, change: Change) -> T:
  """Returns a model's config with every block changed.

  Args:
    config: One whose traits have `blocks`.
    change: Returns another block for each.
  """
  pattern = config.pattern
  return dataclasses.replace(
      config, block=change(config.block),
      pattern=None if pattern is None else pattern.with_blocks(change))


def _with_blocks(layers, change):
  return tuple(layer.with_blocks(change) for layer in layers)
