"""Types of elements: their names in weight files, and what numpy calls them."""
import ml_dtypes
import numpy as np

DTYPES = {
    'U64': np.dtype(np.uint64),
    'I64': np.dtype(np.int64),
    'F64': np.dtype(np.float64),
    'C64': np.dtype(np.complex64),
    'F32': np.dtype(np.float32),
    'U32': np.dtype(np.uint32),
    'I32': np.dtype(np.int32),
    'BF16': np.dtype(ml_dtypes.bfloat16),
    'F16': np.dtype(np.float16),
    'U16': np.dtype(np.uint16),
    'I16': np.dtype(np.int16),
    'F8_E5M2FNUZ': np.dtype(ml_dtypes.float8_e5m2fnuz),
    'F8_E4M3FNUZ': np.dtype(ml_dtypes.float8_e4m3fnuz),
    'F8_E8M0': np.dtype(ml_dtypes.float8_e8m0fnu),
    'F8_E4M3': np.dtype(ml_dtypes.float8_e4m3fn),
    'F8_E5M2': np.dtype(ml_dtypes.float8_e5m2),
    'I8': np.dtype(np.int8),
    'U8': np.dtype(np.uint8),
    'BOOL': np.dtype(np.bool_),
}
"""The types of safetensors files, in the order in which its library writes."""

NAMES = {dtype: name for name, dtype in DTYPES.items()}
"""The reverse of `DTYPES`."""


def name_of(dtype: str) -> str:
  """Returns the name of a type in `DTYPES`, given that or numpy's name.

  Raises:
    ValueError: If there is no such type.

  Example:
    >>> name_of('float32'), name_of('bfloat16'), name_of('F16')
    ('F32', 'BF16', 'F16')
  """
  if dtype in DTYPES:
    return dtype
  try:
    return NAMES[np.dtype(dtype)]
  except (TypeError, KeyError):
    raise ValueError(
        f'The type {dtype!r} should be one of {", ".join(DTYPES)}, or what '
        'numpy calls these.') from None
