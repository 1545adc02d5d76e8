"""Pretrained parameters inside those of a model with a head."""
from typing import Any

from lmjax.core import errors
from lmjax.core import layouts
from lmjax.core import trees
from lmjax.models import cost


def warm_start(params: Any, pretrained: Any, backbone: Any) -> Any:
  """Returns a model's parameters with a pretrained backbone inside.

  Args:
    params: The model's own; the head's are kept of them.
    pretrained: The backbone's, its layers stacked or apart. An untied output
      layer finds no use here.
    backbone: The backbone's config, with its vocabulary.

  Raises:
    InputError: If a parameter is missing, or has another shape.
  """
  found = dict(trees.items(layouts.like(pretrained, params)))
  own = {path for path, _ in trees.items(cost.shapes(backbone))}

  def take(path, leaf):
    if path not in own:
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
