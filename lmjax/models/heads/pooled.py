"""A backbone with a head that says which class a whole text belongs to."""
from collections.abc import Callable
import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax

from lmjax.core import errors
from lmjax.core import shapes
from lmjax.core import trees
from lmjax.nn import attend as attend_lib
from lmjax.nn import layers
from lmjax.nn import readout

HEAD = 'classes'


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
  """How a text becomes one vector, and that vector C logits.

  Attributes:
    pooling: 'mean' over the real tokens, 'max' over them, or the 'last' one,
      which under a causal mask alone has seen all others.
    causal: Whether a decoder's tokens see only what came before them, as in
      pretraining; without, it reads in both directions, as an encoder does.
    dropout: Rate on the pooled vector.
    init_std: Standard deviation of the head's initial kernel.

  References:
    Radford et al., Improving Language Understanding by Generative
    Pre-Training, 2018, section 3.2 (a linear head on a decoder's last token).
  """
  pooling: Literal['mean', 'max', 'last'] = 'mean'
  causal: bool = True
  dropout: float = 0.1
  init_std: float = 0.02

  def __post_init__(self):
    if self.pooling not in POOLING:
      raise errors.InputError(
          f'head.pooling is {self.pooling!r}; choose from {sorted(POOLING)}.')
    if not 0 <= self.dropout < 1:
      raise errors.InputError(
          f'head.dropout should be in [0, 1); got {self.dropout}.')

  def build(self, backbone: Any, num_classes: int,
            attend: Callable[..., jax.Array] = attend_lib.best) -> 'Classifier':
    """Returns the module.

    Args:
      backbone: The config of any model of this room, with its vocabulary.
      num_classes: C.
      attend: Replaces the arithmetic of attention.

    Raises:
      InputError: If there are fewer than 2 classes.
    """
    if num_classes < 2:
      raise errors.InputError(
          f'A classifier needs at least 2 classes; the task has {num_classes}.')
    return Classifier(self, backbone, num_classes, attend)


class Classifier(nn.Module):
  """Token ids in, one row of class logits a text out.

  Parameters: those of the backbone under the backbone's own names (but for an
  untied output layer), and `classes/kernel` [D, C] and `classes/bias`.
  """
  config: ClassifierConfig
  backbone: Any
  num_classes: int
  attend: Callable[..., jax.Array] = attend_lib.best

  @nn.compact
  def __call__(self, inputs_BT: jax.Array, positions_BT: jax.Array,
               segments_BT: jax.Array, *, train: bool = False) -> jax.Array:
    """Classifies each row.

    Args:
      inputs_BT: Token ids.
      positions_BT: Their positions, from 0.
      segments_BT: 1 for real tokens, 0 for padding.
      train: Whether dropout is on; it then draws from the 'dropout' rng.

    Returns:
      Float32 `logits_BC`; a row without real tokens gets some finite logits.
    """
    config = self.config
    shapes.bind(inputs_BT=inputs_BT, positions_BT=positions_BT,
                segments_BT=segments_BT)
    body = self.backbone.build(attend=self.attend)
    nn.share_scope(self, body)  # `layer_0/...`, not `backbone/layer_0/...`.
    x_BTD = readout.states(
        body, inputs_BT, positions_BT, segments_BT, causal=config.causal,
        train=train)
    x_BD = POOLING[config.pooling](x_BTD, segments_BT > 0)
    x_BD = layers.Dropout(
        config.dropout, deterministic=not train, name='pooled_dropout')(x_BD)
    policy = layers.Policy(self.backbone.dtype, config.init_std)
    return layers.Head(
        self.num_classes, policy, use_bias=True, name=HEAD)(x_BD)


POOLING = {
    'mean': readout.mean, 'max': readout.largest, 'last': readout.last}


def warm_start(params: Any, pretrained: Any) -> Any:
  """Returns a classifier's parameters with a pretrained backbone inside.

  Args:
    params: The classifier's own, of which only the head's are kept.
    pretrained: The backbone's. An untied output layer finds no use here.

  Raises:
    InputError: If a parameter is missing, or has another shape.
  """
  found = dict(trees.items(pretrained))

  def take(path, leaf):
    if path.startswith(f'{HEAD}/'):
      return leaf
    if path not in found:
      raise errors.InputError(
          f'The pretrained run has no parameter {path!r}; it has '
          f'{", ".join(list(found)[:4])}, ...: give the model it was trained '
          'with.')
    if found[path].shape != leaf.shape:
      raise errors.InputError(
          f'{path} has shape {found[path].shape} in the pretrained run, but '
          f'{leaf.shape} here: give the model and tokenizer it was trained '
          'with.')
    return found[path]

  return trees.map_paths(take, params)
