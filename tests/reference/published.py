"""Small checkpoints in the form of Hugging Face, made without its libraries."""
import json
import pathlib
from typing import Any

import jax

from lmjax.interop import exporting
from lmjax.interop.formats import safetensors_files
from lmjax.models import cost
from lmjax.models.presets import decoders
from lmjax.testing import hot

END = '<|endoftext|>'


def byte_tokenizer(folder: pathlib.Path) -> None:
  """Writes the files of a GPT-2 tokenizer without merges: 256 bytes and END."""
  shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
  hidden = [byte for byte in range(256) if byte not in shown]
  letters = {byte: chr(byte) for byte in shown} | {
      byte: chr(256 + i) for i, byte in enumerate(hidden)}
  vocab = {letters[byte]: byte for byte in range(256)} | {END: 256}
  (folder / 'vocab.json').write_text(json.dumps(vocab))
  (folder / 'merges.txt').write_text('#version: 0.2\n')
  (folder / 'tokenizer_config.json').write_text(json.dumps({
      'bos_token': END, 'eos_token': END, 'model_max_length': int(1e30)}))


def llama(folder: pathlib.Path, generation: Any = None, **changes: Any
          ) -> Any:
  """Writes a small Llama with hot weights; returns its lmjax config.

  Args:
    folder: The folder, which is made.
    generation: The contents of its generation_config.json, if any.
    **changes: Fields of config.json to change.
  """
  config = decoders.llama(32, 2, 4, 2, 48, vocab_size=260, context=64)
  folder.mkdir()
  family = exporting.family_of(config, 'llama')
  params = jax.device_get(hot.hot_params(cost.shapes(config)))
  safetensors_files.write(folder, exporting.tensors(family, config, params))
  (folder / 'config.json').write_text(json.dumps(
      family.fields(config) | {'eos_token_id': 256} | changes))
  if generation is not None:
    (folder / 'generation_config.json').write_text(json.dumps(generation))
  byte_tokenizer(folder)
  return config
