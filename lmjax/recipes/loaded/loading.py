"""Loads a run of any kind from its directory; `lmjax.load` is this function."""
import pathlib

from lmjax.interop import runs
from lmjax.recipes.loaded import trained
from lmjax.recipes.loaded import tuned
from lmjax.run import directory


def load(workdir: str | pathlib.Path, step: int | str = 'best'
         ) -> trained.Trained | trained.Counted | tuned.Tuned:
  """Reads a run directory of `pretrain.py` or `finetune.py` in `experiments`.

  Args:
    workdir: The directory.
    step: A checkpoint's number, 'best' or 'latest'.

  Returns:
    The run's config, tokenizer, model and parameters. A fine-tuned run has a
    method `predict`, which answers texts.

  Raises:
    InputError: If the directory is not a run, or has no intact checkpoint.
  """
  run = directory.RunDir(pathlib.Path(workdir))
  if runs.is_tuned(runs.read_config(run)):
    return tuned.load(workdir, step)
  return trained.load_any(workdir, step)
