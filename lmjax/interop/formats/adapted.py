"""A file that describes its model itself, in Hugging Face's vocabulary."""
from collections.abc import Mapping
import dataclasses
from typing import Any

from lmjax.interop.formats import tensors as tensors_lib


@dataclasses.dataclass(frozen=True)
class Adapted:
  """Weights of a format that has its own names, under Hugging Face's.

  Attributes:
    config: What the config.json would say.
    tensors: The tensors by the names that Hugging Face's file would have, in
      its layouts.
    generation: What the generation_config.json would say.
    vocabulary: The tokenizer's data as the file has it, by its own keys; empty
      if it has none.
  """
  config: Mapping[str, Any]
  tensors: tensors_lib.Tensors
  generation: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  vocabulary: Mapping[str, Any] = dataclasses.field(default_factory=dict)
