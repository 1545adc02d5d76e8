"""Exports a run as a folder that `transformers` loads, or as a GGUF file."""
import json
import os
import pathlib
from typing import Any

import jax
import numpy as np

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core.files import user_paths
from lmjax.core import layouts
from lmjax.core import trees
from lmjax.data import chat
from lmjax.data.tokenizers import export as export_lib
from lmjax.evaluation import report
from lmjax.interop import certificate as certificate_lib
from lmjax.interop import checkpoint as checkpoint_lib
from lmjax.interop import exporting
from lmjax.interop.families import family as family_lib
from lmjax.interop.formats import safetensors_files
from lmjax.interop import gguf_export
from lmjax.interop import importing
from lmjax.interop import runs
from lmjax.objectives import seq2seq
from lmjax.run import directory


def export(workdir: str | os.PathLike[str], to: str | os.PathLike[str], *,
           step: int | str = 'best', dtype: exporting.Dtype = 'float32',
           model_type: str | None = None) -> family_lib.Family:
  """Writes the model of a run as a folder in the form of Hugging Face.

  The folder appears when it is complete. Before, it is read back, and its
  tensors and config are compared with the run's; what the model computes is
  written down in a certificate.

  Args:
    workdir: The directory of the run.
    to: The folder, which should not exist yet or be empty.
    step: A checkpoint's number, 'best' or 'latest'.
    dtype: The type of the numbers; the narrow ones are rounded.
    model_type: The family; by default, the run's own if it was imported, or
      the first that fits.

  Returns:
    The family.

  Raises:
    InputError: If no family computes what the model does, the run cannot be
      read, or the folder holds files.
  """
  path = pathlib.Path(to)
  user_paths.check_free(path, '--to')
  run = directory.RunDir(pathlib.Path(workdir))
  found, facts = runs.backbone(workdir, step), runs.read_imported(run)
  family = exporting.family_of(
      found.config, model_type or facts.get('model_type'))
  with atomic.folder(path) as folder:
    _write(folder, family, found, facts, dtype)
    _check(folder, found, dtype)
    atomic.write(folder / 'README.md', card(run, family, found, dtype))
  return family


def export_gguf(workdir: str | os.PathLike[str], to: str | os.PathLike[str], *,
                step: int | str = 'best', kind: str = 'F16',
                model_type: str | None = None) -> family_lib.Family:
  """Writes the model of a run as a GGUF file, for llama.cpp.

  Args:
    workdir: The directory of the run.
    to: The file, which should not exist yet.
    step: A checkpoint's number, 'best' or 'latest'.
    kind: The type of the numbers of matrices: 'F32', 'F16' or 'Q8_0'.
    model_type: The family; see `export`.

  Returns:
    The family.

  Raises:
    InputError: If llama.cpp has no such model or tokenizer, the run cannot be
      read, or the file exists.
  """
  path = pathlib.Path(to)
  user_paths.check_free(path, '--to')
  run = directory.RunDir(pathlib.Path(workdir))
  found, facts = runs.backbone(workdir, step), runs.read_imported(run)
  return gguf_export.write(
      path, found.config, found.params, found.tokenizer, kind,
      run.path.resolve().name, facts.get('chat_template'),
      model_type or facts.get('model_type'))


def _write(folder: pathlib.Path, family: family_lib.Family,
           found: runs.Pretrained, facts: dict[str, Any],
           dtype: exporting.Dtype) -> None:
  """Writes the config, the tensors and the tokenizer."""
  tokenizer = found.tokenizer
  ids = _ids(tokenizer)
  if found.config.traits.reads_source:
    ids['decoder_start_token_id'] = seq2seq.first_ids(tokenizer)[1]
  config = family.fields(found.config) | ids | {'dtype': dtype}
  generation = ids | facts.get('generation', {})
  for name, tree in ((checkpoint_lib.CONFIG, config),
                     (checkpoint_lib.GENERATION, generation)):
    atomic.write(folder / name, json.dumps(tree, indent=2) + '\n')
  for name, content in export_lib.files(
      tokenizer, found.config.context).items():
    atomic.write(folder / name, content)
  if facts.get('chat_template'):
    atomic.write(folder / chat.FILE, facts['chat_template'])
  safetensors_files.write(folder, exporting.tensors(
      family, found.config, found.params, dtype))


def _ids(tokenizer: Any) -> dict[str, int]:
  """Returns the fields of config.json for the ids that frame a text."""
  ids = {'bos_token_id': tokenizer.bos_id, 'eos_token_id': tokenizer.eos_id,
         'pad_token_id': tokenizer.specials.get('[PAD]')}
  return {name: int(id) for name, id in ids.items() if id is not None}


def _check(folder: pathlib.Path, found: runs.Pretrained,
           dtype: exporting.Dtype) -> None:
  """Reads a folder back, and writes the certificate of what it computes."""
  again = importing.load(folder)
  kind = exporting.DTYPES[dtype]
  want = dict(trees.items(layouts.looped(found.params)))
  for path, array in trees.items(again.params):
    if not np.array_equal(np.asarray(array), np.asarray(
        want[path]).astype(kind).astype(np.float32)):
      raise errors.RunError(f'{path} was not written as it is in the run.')
  made = certificate_lib.certify(
      again.model, jax.device_put(again.params),
      **certificate_lib.behaviour(again))
  atomic.write(folder / certificate_lib.NAME, made.to_json())


def card(run: directory.RunDir, family: family_lib.Family,
         found: runs.Pretrained, dtype: str) -> str:
  """Returns the model card, which has the numbers of the run's report."""
  lines = [
      '---', 'library_name: transformers', 'tags: [lmjax]', '---', '',
      f'# {run.path.resolve().name}', '',
      f'{family.name} with {trees.count(found.params):,} parameters, in '
      f'{dtype}, exported from a run of lmjax.', '',
      f'- Context: {found.config.context:,} tokens',
      f'- Tokenizer: {found.tokenizer.describe()}',
      f'- Checkpoint: step {found.step:,}', '']
  if run.report.exists() and not runs.is_tuned(runs.read_config(run)):
    rows = [report.headings(), *map(report.cells, report.load(run.report))]
    rows.insert(1, ['---'] * len(rows[0]))
    lines += ['## Results on held-out text', '',
              *(f'| {" | ".join(row)} |' for row in rows), '']
  lines += [
      '## Check', '',
      f'`{certificate_lib.NAME}` has the ids of a text and what the model '
      'computes for them, so that other software can be compared with it.']
  return '\n'.join(lines) + '\n'
