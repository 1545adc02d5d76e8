"""Rows of the experts of a mixture, in the two layouts that files have.

Until transformers 5 each projection of each expert was a tensor; now it keeps
the experts of a layer stacked. Files on the Hugging Face Hub are still of the
first kind, and it is written.
"""
from lmjax.interop.mapping import operations
from lmjax.interop.mapping import rows

_PATHS = tuple(f'mlp/experts/{name}/kernel' for name in ('in', 'gate', 'out'))


def separate(count: int, prefix: str, names: tuple[str, str, str]
             ) -> list[rows.Row]:
  """Returns the rows of a layer's experts, each of which has its own tensors.

  Args:
    count: The number of experts.
    prefix: The prefix of the names, before the number of the expert.
    names: The modules of an expert: the activated projection, the one that it
      is multiplied with, and the one back to the width.
  """
  return [
      rows.row(path, [f'{prefix}.{e}.{name}.weight' for e in range(count)],
               operations.Stack(), operations.Transpose())
      for path, name in zip(_PATHS, names)]


def stacked(prefix: str) -> list[rows.Row]:
  """Returns the rows of a layer's experts, which are stacked.

  Args:
    prefix: The prefix of the names.
  """
  return [
      rows.row(_PATHS[:2], f'{prefix}.gate_up_proj',
               operations.Split((1, 1), axis=1), operations.Transpose()),
      rows.row(_PATHS[2], f'{prefix}.down_proj', operations.Transpose())]
