"""The files of a run, compared with what its checkpoints say about them.

A checkpoint contains a copy of the files that decide which model the run has,
protected by a digest. The files can be edited: with another `num_heads`, for
example, all parameters still fit, but they are another model's.
"""
from collections.abc import Mapping, Sequence
import re
from typing import Any

from lmjax.core import changes
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.files import strict_json
from lmjax.run import directory

# The fields that decide which model a run has, and how it is used. Others, such
# as where the data are, may be edited by hand.
_MODEL = ('kind', 'model', 'objective', 'tokenizer', 'task', 'data.tokenizer',
          'data.specials', 'data.sentinels')
# In these, the layout of layers, to which checkpoints are converted, and the
# data and metrics of a task.
_FREE = re.compile(r'\.(scan|remat|source|split|metrics)(\.|$)')


def facts(run: directory.RunDir) -> dict[str, Any]:
  """Returns the contents of the files that every checkpoint contains.

  Raises:
    InputError: If one of the files is not JSON.
  """
  found = {}
  for path in run.config, run.backbone, run.task:
    try:
      found[path.stem] = strict_json.read(path)
    except FileNotFoundError:
      continue
    except (OSError, ValueError) as error:
      raise errors.InputError(f'{path} is not JSON: {error}.') from error
  return found


def check(run: directory.RunDir, about: Mapping[str, Any],
          tokenizer: str) -> None:
  """Checks that a checkpoint and the files of its run are of the same model.

  Differences that were accepted when the run was continued are allowed.

  Args:
    run: The run directory.
    about: The description of the checkpoint, from `checkpoints.reading`.
    tokenizer: The digest of the run's tokenizer.

  Raises:
    InputError: If they differ, with a table of the differences.
  """
  saved = about['facts']
  found = {name: config for name, config in facts(run).items()
           if name in saved}
  changed = {}
  for name, config in found.items():
    differences = config_lib.difference(saved[name], config)
    if name == run.config.stem:
      differences = _unaccepted(run, {
          field: pair for field, pair in differences.items()
          if changes.covered(field, _MODEL) and not _FREE.search(field)})
    changed |= {f'{field} in {name}.json': pair
                for field, pair in differences.items()}
  for field, digest in saved.get('pipeline', {}).items():
    if field.endswith('tokenizer: ids') and digest != tokenizer:
      changed[run.tokenizer.name] = digest[:12], tokenizer[:12]
  if changed:
    raise errors.InputError(
        f'{run.path} holds files of another model than its checkpoint of step '
        f'{about["step"]} (saved -> found):{changes.table(changed)}\nThe '
        'parameters are of the saved values: put these back.')


def check_continued(run: directory.RunDir, about: Mapping[str, Any],
                    rules: changes.Rules, override: Sequence[str]) -> None:
  """Checks that a run continues with the config of its checkpoint.

  `directory.open_run` has compared the config with config.json, which may have
  been edited.

  Args:
    run: The run directory.
    about: The description of the checkpoint from which the run continues.
    rules: The rules of the config's class.
    override: Fields that may differ although they affect results.

  Raises:
    InputError: If a field differs that no start has accepted; see
      `changes.judge`.
  """
  name, saved = run.config.stem, about['facts']
  if name in saved:
    changes.judge(
        f'The checkpoint of step {about["step"]} in {run.path}',
        _unaccepted(run, config_lib.difference(saved[name], facts(run)[name])),
        rules, override)


def _unaccepted(run, changed):
  """Returns the differences that no start of the run has accepted."""
  values = {}
  try:
    for start in strict_json.read(run.facts):
      for field, (old, new, _) in start.get('accepted', {}).items():
        values.setdefault(field, []).extend([old, new])
  except (OSError, ValueError, AttributeError, TypeError):
    pass  # Then none is known to be accepted.
  return {field: pair for field, pair in changed.items()
          if not all(value in values.get(field, ()) for value in pair)}
