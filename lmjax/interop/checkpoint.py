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
from lmjax.core.files import safe_paths
from lmjax.core.files import strict_json
from lmjax.data.tokenizers import pretrained
from lmjax.data.tokenizers import vocabulary
from lmjax.interop.formats import safetensors_files
from lmjax.interop.formats import shards
from lmjax.interop.formats import tensors as tensors_lib
from lmjax.interop.formats import torch_files
from lmjax.interop import sentences
from lmjax.nn import readout as readout_lib

CONFIG = 'config.json'
GENERATION = 'generation_config.json'


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """Weights with what is needed to use them.

  Attributes:
    path: The folder or file.
    config: The contents of its config.json.
    tensors: Its tensors by name.
    generation: The contents of its generation_config.json; {} without one.
    read_tokenizer: Function that reads its tokenizer; None if it has none.
    readout: How it makes vectors of texts; None if it does not say it.
  """
  path: pathlib.Path
  config: Mapping[str, Any]
  tensors: tensors_lib.Tensors
  generation: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  read_tokenizer: Callable[[], vocabulary.Tokenizer] | None = None
  readout: readout_lib.Readout | None = None


def open_source(path: str | os.PathLike[str]) -> Checkpoint:
  """Opens a folder or a file with weights; no tensor is read.

  Args:
    path: A folder with a config.json, as on the Hugging Face Hub, or a file in
      such a folder; or a file that has its own config, such as a GGUF file.

  Raises:
    InputError: If there are no weights there, or a file is damaged.
  """
  path = pathlib.Path(path)
  if not path.exists():
    raise errors.InputError(
        f'{path} does not exist; give a folder with a config.json and weights, '
        'or a GGUF file.')
  return open_folder(path if path.is_dir() else path.parent,
                     None if path.is_dir() else path)


def open_folder(folder: pathlib.Path, weights: pathlib.Path | None = None
                ) -> Checkpoint:
  """Opens a folder with a config.json.

  Args:
    folder: The folder.
    weights: The file with the weights; by default it is looked for.
  """
  config = _object(folder, CONFIG)
  if config is None:
    raise errors.InputError(
        f'{folder} has no {CONFIG}, so it is not known which model its weights '
        'are of.')
  return Checkpoint(
      weights or folder, config, _open_weights(weights or folder),
      _object(folder, GENERATION) or {},
      lambda: pretrained.read(folder), sentences.read(folder))


def _open_weights(path: pathlib.Path) -> tensors_lib.Tensors:
  """Opens a folder or file of safetensors, or of `torch.save`."""
  if path.is_dir():
    has = lambda name: any(
        (path / each).exists() for each in (name, f'{name}{shards.SUFFIX}'))
    torch = has(torch_files.NAME) and not has(safetensors_files.NAME)
  else:
    torch = '.bin' in path.suffixes or path.suffix in ('.pt', '.pth')
  return (torch_files if torch else safetensors_files).open_weights(path)


def _object(folder: pathlib.Path, name: str) -> dict[str, Any] | None:
  """Returns the object in a JSON file of a folder; None without the file."""
  if not (folder / name).exists():
    return None
  path = safe_paths.safe_join(folder, name)
  try:
    found = strict_json.read(path)
    if not isinstance(found, dict):
      raise ValueError('it should hold an object')
  except (OSError, ValueError) as error:
    raise errors.InputError(f'{path} cannot be read: {error}.') from None
  return found
