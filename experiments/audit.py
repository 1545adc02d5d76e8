r"""Checks the config of a run against its weights.

  python experiments/audit.py --workdir=runs/demo
  python experiments/audit.py --workdir=runs/demo --text=chinese.txt

The model is scored on a text under its own config and under each other reading
of the same weights: another base of the wavelengths, another activation,
another order of heads and so on. The table shows by how many nats per token
each reading is worse. If one is clearly better, the config is wrong, and the
script ends with exit code 2.
"""
from absl import flags
from lmjax.core import cli
from lmjax.core import errors
from lmjax.recipes import auditing
from lmjax.recipes.loaded import trained


def audit(workdir: str, text: str | None = None, *, budget: int = 2048,
          accept: tuple[str, ...] = (), step: str = 'best') -> auditing.Audit:
  """Returns the audit of a run, after printing it.

  Args:
    workdir: The directory of a run of `experiments/pretrain.py`.
    text: The path of a text file; None takes the text of the audit.
    budget: Most tokens to score.
    accept: Fields that may be wrong.
    step: A checkpoint's number, 'best' or 'latest'.

  Raises:
    InputError: If the weights contradict the config.
  """
  given = None if text is None else auditing.read_text(text)
  run = trained.load(workdir, step)
  found = auditing.audit(run, given, budget, run.context)
  found.show()
  refusal = found.refusal(accept)
  if refusal is not None:
    raise errors.InputError(refusal)
  if (doubt := found.doubt()) is not None:
    raise errors.InputError(doubt)
  print(f'No other reading of the weights is better ({found.seconds:.0f} s).')
  return found


def main(_):
  audit(_WORKDIR.value, _TEXT.value, budget=_BUDGET.value,
        accept=tuple(_ACCEPT.value), step=_STEP.value)


if __name__ == '__main__':
  _WORKDIR = cli.path_flag(
      'workdir', None, 'Directory of a pretrained run.', required=True)
  _TEXT = cli.path_flag(
      'text', None, 'Text file to score, in a language that the model knows.')
  _BUDGET = flags.DEFINE_integer(
      'budget', 2048, 'Most tokens of the text to score.', lower_bound=256)
  _ACCEPT = flags.DEFINE_list(
      'accept', [], 'Fields of the config that may be wrong.')
  _STEP = flags.DEFINE_string(
      'step', 'best', "A checkpoint's number, best or latest.")
  cli.run(main)
