"""Exports a model: from a config and parameters to the files of a family."""
from collections.abc import Iterator
import functools
from typing import Any, Literal

import ml_dtypes
import numpy as np

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core import layouts
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.interop.formats import tensors as tensors_lib
from lmjax.interop.mapping import rows as rows_lib
from lmjax.models import model as model_lib

Dtype = Literal['float32', 'bfloat16', 'float16']
DTYPES = {'float32': np.dtype(np.float32), 'float16': np.dtype(np.float16),
          'bfloat16': np.dtype(ml_dtypes.bfloat16)}


def family_of(config: model_lib.ModelConfig, model_type: str | None = None
              ) -> family_lib.Family:
  """Returns the family whose files can hold a model.

  Args:
    config: The model's config.
    model_type: The family's `model_type`; by default, the first family of the
      table that fits.

  Raises:
    InputError: If the family, or every family, has models of another kind.
  """
  return families_of(config, model_type)[0]


def families_of(config: model_lib.ModelConfig, model_type: str | None = None
                ) -> list[family_lib.Family]:
  """Returns all families whose files can hold a model; see `family_of`."""
  if model_type is not None:
    if model_type not in families.FAMILIES:
      raise errors.InputError(
          f'There is no family {model_type!r}; choose from '
          f'{", ".join(families.FAMILIES)}.'
          f'{config_lib.near(model_type, families.FAMILIES)}')
    family = families.FAMILIES[model_type]
    family.fields(config)
    return [family]
  found, refusals = [], {}
  for family in dict.fromkeys(families.FAMILIES.values()):
    try:
      family.fields(config)
      found.append(family)
    except errors.InputError as error:
      if isinstance(config, family.kind):
        refusals[family.name] = str(error)
  if found:
    return found
  nearest = min(refusals.values(), key=len, default=(
      f'A {type(config).__name__} has no family.'))
  raise errors.InputError(
      'No family of models in the form of Hugging Face computes what this one '
      f'does. The nearest: {nearest}')


def tensors(family: family_lib.Family, config: model_lib.ModelConfig,
            params: Any, dtype: Dtype = 'float32'
            ) -> Iterator[tuple[str, tensors_lib.Tensor]]:
  """Yields the name and the tensor of everything in a model's file.

  Tensors are made when they are read.

  Args:
    family: The family.
    config: The model's config.
    params: The model's parameters, in any layout of layers.
    dtype: The type of the numbers.
  """
  kind = DTYPES[dtype]
  for name, tensor in rows_lib.write(
      family.rows(config), layouts.looped(params)):
    yield name, tensors_lib.Tensor(
        tensor.shape, kind.name, functools.partial(_cast, name, tensor, kind))


def _cast(name: str, tensor: tensors_lib.Tensor, dtype: np.dtype
          ) -> np.ndarray:
  """Returns a tensor's numbers in a type.

  Raises:
    InputError: If a number is too large for the type.
  """
  array = tensor.read()
  with np.errstate(over='ignore'):
    cast = array.astype(dtype, copy=False)
  if not np.isfinite(cast).all() and np.isfinite(array).all():
    raise errors.InputError(
        f'{name} has numbers up to {np.abs(array).max():.3g}, which {dtype} '
        'cannot hold; choose bfloat16 or float32.')
  return cast
