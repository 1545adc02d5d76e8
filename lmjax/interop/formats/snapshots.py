"""Files of a folder of weights, which may be a snapshot in a hub's cache.

Hugging Face's cache keeps a model as `NAME/snapshots/REVISION/FILE`, where each
file is a link to `NAME/blobs/DIGEST`. Such links are followed; others must not
lead out of the folder.
"""
import os
import pathlib

from lmjax.core.files import safe_paths


def file(folder: str | os.PathLike[str], name: str) -> pathlib.Path:
  """Returns the path of a file in a folder; it need not exist.

  Args:
    folder: The folder that the user named.
    name: The file's name, from wherever it may be.

  Raises:
    InputError: If the name or a link leads out of the folder; see
      `safe_paths.safe_join`.
  """
  folder = pathlib.Path(folder).absolute()
  model = folder.parent.parent
  if folder.parent.name == 'snapshots' and (model / 'blobs').is_dir():
    return safe_paths.safe_join(model, f'snapshots/{folder.name}/{name}')
  return safe_paths.safe_join(folder, name)
