"""Distillation from a run, which is given by its directory."""
import dataclasses

import flax.linen as nn
import jax

from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.interop import runs
from lmjax.objectives import distill
from lmjax.objectives import lm


@dataclasses.dataclass(frozen=True)
class Taught(distill.Distillation):
  """Distillation from a run.

  Attributes:
    teacher: Directory of the teacher's run; it should have the student's
      tokenizer.
  """
  teacher: user_paths.Path = ''

  def build(self, model: nn.Module,
            tokenizer: tokenizer_lib.Tokenizer | None = None) -> lm.Objective:
    """Returns the objective; see `distill.Distillation`.

    Raises:
      InputError: If there is no teacher, or it has another tokenizer.
    """
    if not self.teacher:
      raise errors.InputError(
          'Taught needs a teacher, the directory of a run: '
          '--config.objective.teacher=runs/large.')
    run = runs.load(self.teacher)
    if tokenizer is not None and run.tokenizer.digest != tokenizer.digest:
      raise errors.InputError(
          f'The teacher {self.teacher} has another tokenizer '
          f'({run.tokenizer.describe()}) than the student '
          f'({tokenizer.describe()}); train both on the same data.')
    return super().build(
        model, tokenizer, teacher=distill.teacher_of(
            run.model, jax.device_put(run.params)))
