"""Strict reading of a `config.json`: each field is used, ignorable or refused.

References:
  The fields are those of the configs of the library `transformers`.
"""
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

from lmjax.core import config as config_lib
from lmjax.core import errors

T = TypeVar('T')
_REQUIRED = object()

# Fields of any model that do not change what it computes in evaluation, because
# they describe its origin, its training, how it was stored or how to sample.
ORIGIN = frozenset((
    '_name_or_path', 'architectures', 'model_type', 'transformers_version',
    'torch_dtype', 'dtype', 'use_cache', 'id2label', 'label2id',
    '_num_labels', 'problem_type', 'finetuning_task', 'task_specific_params',
    'license', 'author', 'language', 'name', 'name_or_path', '_commit_hash',
    '_attn_implementation', '_attn_implementation_autoset',
    '_flash_attn_2_enabled',
    'output_attentions', 'output_hidden_states', 'output_past', 'return_dict',
    'use_return_dict', 'gradient_checkpointing', 'tokenizer_class', 'prefix',
    'is_encoder_decoder', 'use_bfloat16', 'tf_legacy_loss', 'num_labels',
    'torchscript', 'xla_device', 'chunk_size_feed_forward',
    'initializer_range', 'initializer_factor', 'layerdrop', 'save_step',
    # What other libraries note: how they run a model, or its classifier.
    'custom_pipelines', 'transformers.js_config', 'sentence_transformers',
    'unsloth_fixed', 'unsloth_version',
    # Ids and defaults of generation, which `generation_config.json` now has.
    'bos_token_id', 'eos_token_id', 'pad_token_id', 'sep_token_id',
    'cls_token_id', 'mask_token_id', 'unk_token_id', 'eos_token_ids',
    'decoder_start_token_id', 'forced_bos_token_id', 'forced_eos_token_id',
    'max_new_tokens', 'renormalize_logits',
    'max_length', 'min_length', 'do_sample',
    'num_beams', 'num_beam_groups', 'early_stopping', 'no_repeat_ngram_size',
    'encoder_no_repeat_ngram_size', 'length_penalty', 'repetition_penalty',
    'diversity_penalty', 'temperature', 'top_k', 'top_p', 'typical_p',
    'num_return_sequences', 'output_scores', 'return_dict_in_generate',
    'bad_words_ids', 'suppress_tokens', 'begin_suppress_tokens',
    'exponential_decay_length_penalty', 'remove_invalid_values',
))
# Fields of any model that have no effect as long as they have this value.
_IDLE = {'is_decoder': False, 'add_cross_attention': False,
         'cross_attention_hidden_size': None, 'tie_encoder_decoder': False,
         'pruned_heads': {}}
# Fields that are refused, with the reason.
CODE = 'auto_map'
_REFUSED = {
    CODE: 'its model would run Python code that comes with the files, which '
          'lmjax never does. If the code computes what other models of this '
          f'model_type do, --accept={CODE} reads the files without it',
    'quantization_config': 'its weights are stored in a quantised form that is '
                           'not read from this format; export it unquantised',
}


class Fields:
  """The fields of a config.json; each one is to be taken once.

  Args:
    tree: The config.
    source: Name of the file in messages.
    accept: Fields that may be left over: `auto_map`, or those that lmjax does
      not know; None if users cannot say so.
  """

  def __init__(self, tree: Mapping[str, Any], source: str = 'config.json',
               accept: Collection[str] | None = None):
    self._tree, self._source, self._accept = dict(tree), source, accept
    self._taken: set[str] = set()
    for name, why in _REFUSED.items():
      if tree.get(name) is not None and not (
          name == CODE and name in (accept or ())):
        raise errors.InputError(f'{source} has a field {name}: {why}.')

  def __contains__(self, name: str) -> bool:
    """Returns whether a field is there, even if it is null."""
    return name in self._tree

  def default(self, **values: Any) -> None:
    """Sets the values of fields that are missing."""
    self._tree = values | self._tree

  def has(self, name: str) -> bool:
    """Returns whether a field is there and is not null."""
    return self._tree.get(name) is not None

  def alias(self, **names: str) -> None:
    """Gives fields the names that other files have for the same thing.

    Args:
      **names: The usual name of each of some fields.

    Raises:
      InputError: If a field is there under both names, with different values.
    """
    for other, name in names.items():
      value = self._tree.pop(other, None)
      if value is None:
        continue
      if self._tree.get(name) not in (None, value):
        raise errors.InputError(
            f'{self._source}: {other} is {value!r} and {name} is '
            f'{self._tree[name]!r}, but they mean the same; remove the wrong '
            'one.')
      self._tree[name] = value

  def take(self, name: str, default: T = _REQUIRED,
           kind: type | tuple[type, ...] | None = None) -> T:
    """Returns the value of a field.

    Args:
      name: The field.
      default: The value if the field is missing or null; without one, that is
        an error.
      kind: The type of the value; by default the type of `default`.

    Raises:
      InputError: If the field is missing, or has a value of another type.
    """
    self._taken.add(name)
    value = self._tree.get(name)
    if value is None:
      if default is _REQUIRED:
        raise errors.InputError(
            f'{self._source} has no field {name}, which this family of models '
            'needs.')
      return default
    if kind is None and default is not _REQUIRED and default is not None:
      kind = type(default)
    if kind is not None:
      value = self._typed(name, value, kind)
    return value

  def number(self, name: str, default: float | None = _REQUIRED) -> float:
    """Returns a real number; see `take`."""
    found = self.take(name, default, (int, float))
    return None if found is None else float(found)

  def whole(self, name: str, default: int | None = _REQUIRED) -> int:
    """Returns a whole number; see `take`."""
    return self.take(name, default, int)

  def choose(self, name: str, choices: Mapping[str, T],
             default: str = _REQUIRED) -> T:
    """Returns what a field's value stands for.

    Args:
      name: The field.
      choices: What each value stands for.
      default: The value if the field is missing.

    Raises:
      InputError: If the value is not among the choices.
    """
    value = self.take(name, default)
    if not isinstance(value, str) or value not in choices:
      raise errors.InputError(
          f'{self._source}: {name} is {value!r}, but this family is read with '
          f'{" or ".join(map(repr, choices))} only.')
    return choices[value]

  def expect(self, name: str, *values: Any) -> None:
    """Checks that a field, if it is there, has one of some values.

    It is meant for fields that would change the model in a way that lmjax does
    not have.

    Raises:
      InputError: If it has another value.
    """
    self._taken.add(name)
    value = self._tree.get(name, values[0])
    if value not in values or isinstance(value, bool) != isinstance(
        values[values.index(value)], bool):
      raise errors.InputError(
          f'{self._source}: {name} is {value!r}, but this family is read with '
          f'{" or ".join(map(repr, values))} only.')

  def inner(self, name: str) -> 'Fields':
    """Returns the fields of an object in a field; none if it is missing."""
    return Fields(self.take(name, {}, dict), f'{self._source}: {name}',
                  self._accept)

  def finish(self, ignorable: Iterable[str] = ()) -> None:
    """Checks that no field is left over.

    Args:
      ignorable: Fields of the family that do not change what the model computes
        in evaluation, in addition to `ORIGIN`.

    Raises:
      InputError: If a field was not taken, is not ignorable, not accepted and
        not null.
    """
    known = ORIGIN.union(ignorable, self._accept or (), self._taken)
    left = sorted(
        name for name, value in self._tree.items()
        if value is not None and name not in known and name not in _IDLE)
    if left:
      raise errors.InputError(
          f'{self._source} has '
          f'{"the field" if len(left) == 1 else "the fields"} '
          f'{", ".join(f"{name} = {self._tree[name]!r}" for name in left)}, '
          'which lmjax does not know for this family, so that the model might '
          f'compute something else.{config_lib.near(left[0], self._taken)}'
          + ('' if self._accept is None else
             ' If that does not change what it computes, leave it out with '
             f'--accept={",".join(left)}.'))
    for name in _IDLE.keys() - known:
      self.expect(name, _IDLE[name], None)

  def _typed(self, name: str, value: Any, kind: Any) -> Any:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if float in kinds and int not in kinds:
      kinds = (*kinds, int)
    is_bool = isinstance(value, bool)
    if not isinstance(value, kinds) or (is_bool and bool not in kinds):
      names = ' or '.join(each.__name__ for each in kinds)
      raise errors.InputError(
          f'{self._source}: {name} should be {names}; got {value!r}.')
    return float(value) if kinds[0] is float else value
