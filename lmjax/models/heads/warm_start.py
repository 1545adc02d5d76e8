"""Copies pretrained parameters into a model with a new head."""
from typing import Any

from lmjax.core import errors
from lmjax.core import layouts
from lmjax.core import trees
from lmjax.models import cost


def warm_start(params: Any, pretrained: Any, backbone: Any) -> Any:
  """Returns a model's parameters with those of a pretrained backbone.

  Args:
    params: The model's parameters; only the head's are kept.
    pretrained: The backbone's parameters, with scanned or looped layers. An
      untied output layer is not used.
    backbone: The backbone's config, with its vocabulary size.

  Raises:
    InputError: If a parameter is missing, or has a different shape.
  """
  found = dict(trees.items(layouts.like(pretrained, params)))
  own = {path for path, _ in trees.items(cost.shapes(backbone))}

  def take(path, leaf):
    if path not in own:
      return leaf
    if path not in found:
      raise errors.InputError(
          f'The pretrained run has no parameter {path!r}; it has '
          f'{", ".join(list(found)[:4])}, ...: use the model that it was '
          'trained with.')
    if found[path].shape != leaf.shape:
      raise errors.InputError(
          f'{path} has shape {found[path].shape} in the pretrained run, but '
          f'{leaf.shape} here: use the model and tokenizer that it was trained '
          'with.')
    return found[path]

  return trees.map_paths(take, params)
