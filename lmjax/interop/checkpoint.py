"""An opened source of weights: a folder or file of any format that is known.

Whatever the format, the config and the names and layouts of the tensors are
those of Hugging Face's files, so that a family describes one vocabulary.
"""
from collections.abc import Callable, Mapping
import dataclasses
import os
import pathlib
from typing import Any

from lmjax.core import errors
from lmjax.core.files import beside
from lmjax.data import chat
from lmjax.data.tokenizers import pretrained
from lmjax.data.tokenizers import vocabulary
from lmjax.interop import continuing
from lmjax.interop.formats import adapted
from lmjax.interop.formats.gguf import adapter
from lmjax.interop.formats import llama2c
from lmjax.interop.formats import onnx_files
from lmjax.interop.formats import safetensors_files
from lmjax.interop.formats import shards
from lmjax.interop.formats import tensors as tensors_lib
from lmjax.interop.formats import torch_files
from lmjax.interop import sentences
from lmjax.nn import readout as readout_lib

CONFIG = 'config.json'
GENERATION = 'generation_config.json'
_GGUF = b'GGUF'  # The first bytes of such a file.


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """Weights with what is needed to use them.

  Attributes:
    path: The folder or file.
    config: The contents of its config.json.
    tensors: Its tensors by name.
    generation: The contents of its generation_config.json, or the ids in the
      config.json if there is none.
    read_tokenizer: Function that reads its tokenizer; None if it has none.
    readout: How it makes vectors of texts; None if it does not say it.
    chat_template: The template of chats, if there is one.
  """
  path: pathlib.Path
  config: Mapping[str, Any]
  tensors: tensors_lib.Tensors
  generation: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  read_tokenizer: Callable[[], vocabulary.Tokenizer] | None = None
  readout: readout_lib.Readout | None = None
  chat_template: str | None = None


def open_source(path: str | os.PathLike[str]) -> Checkpoint:
  """Opens a folder or a file with weights; no tensor is read.

  Args:
    path: A folder with a config.json and weights, as on the Hugging Face Hub,
      or a file of weights in such a folder; a GGUF file, or a folder with one;
      or a model of llama2.c.

  Raises:
    InputError: If there are no weights there, or a file is damaged.
  """
  path = pathlib.Path(path)
  if not path.exists():
    raise errors.InputError(
        f'{path} does not exist; give a folder with a config.json and weights, '
        'or a GGUF file.')
  if path.is_dir() and not (path / CONFIG).exists():
    found = sorted(path.glob('*.gguf'))
    if len(found) != 1:
      raise errors.InputError(
          f'{path} should have a {CONFIG}, which says what model its weights '
          f'are of, or one GGUF file; it has {len(found)} of the latter.')
    path = found[0]
  if path.is_file():
    with open(path, 'rb') as file:
      if file.read(len(_GGUF)) == _GGUF:
        found = adapter.read(path)
        return _adapted(path, found, lambda: pretrained.of_gguf(
            found.vocabulary, str(path)))
    if llama2c.is_model(path):
      return _adapted(path, llama2c.read(path))
  return _open_folder(path)


def _adapted(path: pathlib.Path, found: adapted.Adapted,
             read_tokenizer: Callable[[], vocabulary.Tokenizer] | None = None
             ) -> Checkpoint:
  """Returns what a file that describes its model holds."""
  template = found.vocabulary.get('tokenizer.chat_template')
  return Checkpoint(path, found.config, found.tensors, found.generation,
                    read_tokenizer, chat_template=template)


def _open_folder(path: pathlib.Path) -> Checkpoint:
  """Opens a folder with a config.json, or a file of weights in one."""
  folder = path if path.is_dir() else path.parent
  config = beside.read(folder, CONFIG)
  if config is None:
    raise errors.InputError(
        f'{folder} has no {CONFIG}, so it is not known which model the weights '
        f'in {path.name} are of.')
  template = chat.ChatTemplate.read(folder)
  return Checkpoint(
      path, config, _open_weights(path), _generation(folder, config),
      lambda: pretrained.read(folder),
      sentences.read(folder), template and template.text)


def _generation(folder: pathlib.Path, config: Mapping[str, Any]
                ) -> dict[str, Any]:
  """Returns the generation_config.json, or what an older config.json has of it.

  A decoder is trained from the id in config.json.
  """
  found = beside.read(folder, GENERATION)
  older = {name: config[name] for name in continuing.FIELDS
           if config.get(name) is not None}
  if found is None:
    return older
  start = 'decoder_start_token_id'
  return found | {name: older[name] for name in (start,)
                  if name in older and found.get(name) is None}


def _open_weights(path: pathlib.Path) -> tensors_lib.Tensors:
  """Opens a folder or file of safetensors, of `torch.save` or of ONNX."""
  if not path.is_dir():
    suffixes = {'.onnx': onnx_files, '.bin': torch_files, '.pt': torch_files,
                '.pth': torch_files}
    kind = suffixes.get(path.suffix, safetensors_files)
    if '.bin' in path.suffixes:  # Also an index of shards.
      kind = torch_files
    return kind.open_weights(path)
  for kind in safetensors_files, torch_files:
    names = (kind.NAME, f'{kind.NAME}{shards.SUFFIX}')
    if any((path / name).exists() for name in names):
      return kind.open_weights(path)
  if (path / 'model.onnx').exists():
    return onnx_files.open_weights(path / 'model.onnx')
  return safetensors_files.open_weights(path)  # Says what is missing.
