"""A family of models: how its configs and tensors are read and written.

A family is a file, which describes it once for both directions; the table
`FAMILIES` finds it by the field `model_type` of a config.json. The rooms beside
this file are `llamas` for Llama and its descendants, `experts` for descendants
with a mixture of experts, `decoders` for other decoders, `encoders`, and
`pairs` of an encoder and a decoder.
"""
from collections.abc import Callable, Collection, Mapping, Sequence, Set
import dataclasses
from typing import Any

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import rows as rows_lib
from lmjax.models import model

_TRAINING = {  # Fields that do not change what a model computes in evaluation.
    'init_std', 'std', 'dtype', 'scan', 'remat', 'dropout', 'causal',
    'balance', 'router_z', 'capacity_factor'}


@dataclasses.dataclass(frozen=True, eq=False)
class Family:
  """A family of models.

  Attributes:
    name: Its name in messages, such as 'Llama'.
    model_types: The values of `model_type` that it reads; the first is written.
    kind: The class of the lmjax configs.
    read: Function from the fields of a config.json, and the names of the
      tensors in the file, to an lmjax config. The names only decide which
      heads the model has.
    write: Function from an lmjax config to the fields that describe it, with
      `architectures`; `model_type` is added.
    rows: Function from an lmjax config to the rows of its tensors. They may
      have rows for parameters that only other members of the family have.
    base: The prefix of all tensors but those of heads, such as 'model.'. Files
      of models that were saved without a head lack it.
    ignored: Patterns of names of tensors that hold no parameter, such as masks;
      they match whole names.
    copies: For a tied model, names of tensors that may repeat another one, with
      the name of that one.
    ignorable: Fields of a config.json that do not change what the model
      computes in evaluation, in addition to `fields.ORIGIN`.
    older: Parts of names, each with what older files have in its place.
    constants: Names of tensors that files may have although their values are
      known, each with the function from its shape to these values.
  """
  name: str
  model_types: tuple[str, ...]
  kind: type
  read: Callable[[fields_lib.Fields, Set[str]], model.ModelConfig]
  write: Callable[[Any], dict[str, Any]]
  rows: Callable[[Any], Sequence[rows_lib.Row]]
  base: str = ''
  ignored: tuple[str, ...] = ()
  copies: Mapping[str, str] = dataclasses.field(default_factory=dict)
  ignorable: tuple[str, ...] = ()
  older: tuple[tuple[str, str], ...] = ()
  constants: Mapping[str, rows_lib.Constant] = dataclasses.field(
      default_factory=dict)

  def config(self, tree: Mapping[str, Any], names: Set[str] = frozenset(),
             accept: Collection[str] = ()) -> model.ModelConfig:
    """Returns the lmjax config for a config.json.

    Args:
      tree: The contents of the config.json.
      names: The names of the tensors in the file.
      accept: Fields that may be left over; see `fields.Fields`.

    Raises:
      InputError: If a field is missing, unknown, or has a value that the family
        does not cover.
    """
    fields = fields_lib.Fields(tree, accept=accept)
    found = self.read(fields, names)
    fields.finish(self.ignorable)
    return found

  def fields(self, config: model.ModelConfig) -> dict[str, Any]:
    """Returns the config.json for an lmjax config.

    Raises:
      InputError: If the family has no model that computes the same.
    """
    if not isinstance(config, self.kind):
      raise errors.InputError(
          f'A {self.name} is a {self.kind.__name__}; the model is a '
          f'{type(config).__name__}.')
    try:
      tree = {'model_type': self.model_types[0], **self.write(config)}
      names = {name for row in self.rows(config) for name in row.names}
      again = self.config(tree, names)
    except AttributeError as error:  # A part of the model is of another kind.
      raise errors.InputError(
          f'A {self.name} has other parts than this model: {error}.') from None
    changed = config_lib.difference(*(
        computing(each) for each in (config, again)))
    if changed:
      raise errors.InputError(
          f'A {self.name} cannot have ' + '; '.join(
              f'model.{name} = {ours!r} (it would be {theirs!r})'
              for name, (ours, theirs) in sorted(changed.items())) + '.')
    return tree

  def named(self, config: model.ModelConfig, names: Set[str]
            ) -> list[rows_lib.Row]:
    """Returns the rows, with the names that a file has for the tensors.

    Args:
      config: The lmjax config.
      names: The names of the tensors in the file, which may lack the prefix or
        be older ones.
    """
    found = self.spelling(names)
    return [dataclasses.replace(row, names=tuple(map(found, row.names)))
            for row in self.rows(config)]

  def spelling(self, names: Set[str]) -> Callable[[str], str]:
    """Returns a function from the name of a tensor to that in a file."""
    bare = not any(name.startswith(self.base) for name in names)

    def found(name):
      name = name.removeprefix(self.base) if bare else name
      before = name
      for new, old in self.older:
        before = before.replace(new, old)
      return before if before in names and name not in names else name

    return found


def computing(config: model.ModelConfig) -> dict[str, Any]:
  """Returns the part of a config, as a tree, that decides what is computed.

  The rest is about training, precision and how layers are compiled. Sizes that
  follow from others are filled in.
  """
  return _computing(config_lib.to_dict(config), config.width)


def _computing(tree: Any, width: int) -> Any:
  if isinstance(tree, (list, tuple)):
    return [_computing(each, width) for each in tree]
  if not isinstance(tree, dict):
    return tree
  found = {name: _computing(value, width) for name, value in tree.items()
           if name not in _TRAINING}
  if 'num_kv_heads' in found:
    heads = found['num_heads']
    found['num_kv_heads'] = found['num_kv_heads'] or heads
    found['head_size'] = found['head_size'] or width // heads
  if 'num_decoder_layers' in found:
    found['num_decoder_layers'] = (
        found['num_decoder_layers'] or found['num_layers'])
  if 'widen' in found:  # Embeddings.
    found['size'] = found['size'] or width
  return found
