"""Folders of the library sentence-transformers: how texts become vectors.

Such a folder has a `modules.json`, which lists the steps from a text to its
vector: the model, the pooling of its hidden states, and perhaps a norm.
"""
from collections.abc import Mapping
import pathlib
from typing import Any

from lmjax.core import errors
from lmjax.core.files import beside
from lmjax.interop.mapping import fields as fields_lib
from lmjax.nn import readout

MODULES = 'modules.json'
_STEPS = (['Transformer', 'Pooling'], ['Transformer', 'Pooling', 'Normalize'])
_POOLING = {
    'pooling_mode_cls_token': 'cls', 'pooling_mode_mean_tokens': 'mean',
    'pooling_mode_max_tokens': 'max', 'pooling_mode_lasttoken': 'last',
    'pooling_mode_mean_sqrt_len_tokens': 'mean_sqrt',
    'pooling_mode_weightedmean_tokens': None}  # Not computed here.
# The name of the file is older than other models than BERT.
_LIMITS = tuple(f'sentence_{name}_config.json' for name in (
    'bert', 'roberta', 'distilbert', 'camembert', 'albert', 'xlm-roberta',
    'xlnet'))


def read(folder: pathlib.Path, width: int | None = None
         ) -> readout.Readout | None:
  """Returns how the model in a folder turns texts into vectors.

  Args:
    folder: The folder.
    width: The size of the model's hidden states; None does not check it.

  Returns:
    None if the folder is not one of sentence-transformers.

  Raises:
    InputError: If the vectors are made by steps that lmjax does not have.
  """
  modules = beside.read(folder, MODULES, list)
  if modules is None:
    return None
  steps = [_step(module) for module in modules]
  if [name for name, _ in steps] not in _STEPS:
    raise errors.InputError(
        f'{MODULES} has the steps {", ".join(name for name, _ in steps)}; '
        f'those that are read are {" or ".join(map(", ".join, _STEPS))}. To '
        f'import the model alone, remove {MODULES}.')
  if steps[0][1]:
    raise errors.InputError(
        f'{MODULES} has the model in {steps[0][1]}; give this folder '
        'to import the model without its pooling.')
  length, lower = _limits(folder)
  _check_prompt(folder)
  return readout.Readout(
      pooling=_pooling(folder, f'{steps[1][1]}/config.json', width),
      unit=len(steps) == 3, length=length, lower=lower)


def _step(module: Any) -> tuple[str, str]:
  """Returns the kind of a step, and the folder of its files."""
  if not isinstance(module, Mapping) or not all(
      isinstance(module.get(name), str) for name in ('type', 'path')):
    raise errors.InputError(
        f'{MODULES} should have objects with the texts type and path; got '
        f'{module!r}.')
  return module['type'].rpartition('.')[2], module['path']


def _pooling(folder, name, width):
  """Returns how tokens are pooled."""
  tree = beside.read(folder, name)
  if tree is None:
    raise errors.InputError(
        f'{folder} lacks {name}, which says how tokens are pooled.')
  fields = fields_lib.Fields(tree, name)
  if width is not None:
    fields.expect('word_embedding_dimension', width)
  fields.expect('include_prompt', True)
  chosen = [mode for mode in _POOLING if fields.take(mode, False)]
  fields.finish(('word_embedding_dimension',))
  if len(chosen) != 1 or _POOLING[chosen[0]] is None:
    raise errors.InputError(
        f'{name} should choose one of the ways to pool tokens '
        f'{", ".join(mode for mode, known in _POOLING.items() if known)}; it '
        f'chooses {", ".join(chosen) or "none"}.')
  return _POOLING[chosen[0]]


def _limits(folder):
  """Returns the most tokens of a text, and whether it is lowercased."""
  for name in _LIMITS:
    tree = beside.read(folder, name)
    if tree is not None:
      fields = fields_lib.Fields(tree, name)
      found = (fields.whole('max_seq_length', None),
               fields.take('do_lower_case', False))
      fields.finish()
      return found
  return None, False


def _check_prompt(folder):
  """Raises InputError if a prompt is put before every text."""
  name = 'config_sentence_transformers.json'
  prompt = (beside.read(folder, name) or {}).get('default_prompt_name')
  if prompt is not None:
    raise errors.InputError(
        f'{name} puts the prompt {prompt!r} before every text, which lmjax '
        'does not do; set default_prompt_name to null, and put it there '
        'yourself.')
