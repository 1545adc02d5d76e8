"""Any run, read back from its directory: what `lmjax.load` is."""
import pathlib

from lmjax.interop import runs
from lmjax.recipes import trained
from lmjax.recipes import tuned
from lmjax.run import directory


def load(workdir: str | pathlib.Path, step: int | str = 'best'
         ) -> trained.Trained | trained.Counted | tuned.Tuned:
  """Reads a run directory of `pretrain.py` or `finetune.py` in `experiments`.

  Args:
    workdir: The directory.
    step: A checkpoint's number, 'best' or 'latest'.

  Returns:
    The run's config, tokenizer, model and parameters. A fine-tuned run answers
    texts by its method `predict`.

  Raises:
    InputError: If the directory is no run, or holds no sound checkpoint.
  """
  run = directory.RunDir(pathlib.Path(workdir))
  if runs.is_tuned(runs.read_config(run)):
    return tuned.load(workdir, step)
  return trained.load_any(workdir, step)
