r"""Runs tasks of the lm-evaluation-harness on a pretrained run.

  python experiments/lm_eval.py --workdir=runs/demo --tasks=piqa,copa \
      --include_path=experiments/configs/lm_eval

The harness (pip install 'lmjax[lm_eval]') defines tasks by YAML files and takes
care of prompts and metrics; docs/harness.md shows such a file. No network is
used: data that a task names have to be here. The results are printed and, with
versions and the hashes of tokenizer and parameters, written to lm_eval.json.
"""
import pathlib
import sys

from absl import flags
from lmjax.core import cli
from lmjax.core import errors
from lmjax.evaluation import harness
from lmjax.evaluation import harness_tasks
from lmjax.evaluation import report
from lmjax.recipes.loaded import chatting
from lmjax.recipes.loaded import trained as trained_lib


def evaluate(workdir: str, tasks: list[str], include_path: str | None,
             out: str | None = None, *, checkpoint: str = 'best',
             limit: int | None = None, num_fewshot: int | None = None,
             batch_size: int = 8, seed: int = 0,
             apply_chat_template: bool = False,
             system_instruction: str | None = None
             ) -> list[harness_tasks.Score]:
  """Returns the scores of tasks; see the flags of this script."""
  folder = cli.results_folder(out or pathlib.Path(workdir) / 'evaluation')
  if not tasks:
    raise errors.InputError('Give the names of --tasks, with commas.')
  run = trained_lib.load(workdir, checkpoint)
  harness.check(run)
  rate = trained_lib.rate(
      run, run.config.model.context, ahead=-(-batch_size // harness.ROWS))
  template = chatting.template(run) if apply_chat_template else None
  results = harness_tasks.run(
      harness.Run(run, rate, seed, template), tasks, include_path, limit,
      num_fewshot, system_instruction)
  found = list(harness_tasks.scores(results))
  report.display(harness_tasks.table(found))
  harness_tasks.save(
      folder / 'lm_eval.json', found, results, run=str(workdir), step=run.step,
      limit=limit, seed=seed, tokenizer_hash=run.tokenizer.digest,
      parameters_hash=run.digest, apply_chat_template=apply_chat_template,
      system_instruction=system_instruction)
  print(f'report: {folder / "lm_eval.json"}')
  return found


def main(_):
  evaluate(_WORKDIR.value, FLAGS.tasks, _INCLUDE.value, _OUT.value,
           checkpoint=FLAGS.step, limit=FLAGS.limit, seed=FLAGS.seed,
           num_fewshot=FLAGS.num_fewshot, batch_size=FLAGS.batch_size,
           apply_chat_template=FLAGS.apply_chat_template,
           system_instruction=FLAGS.system_instruction)


if __name__ == '__main__':
  # Otherwise `import lm_eval` would find this file, in the first folder.
  sys.path[:] = [path for path in sys.path
                 if pathlib.Path(path or '.').resolve()
                 != pathlib.Path(__file__).resolve().parent]
  FLAGS = flags.FLAGS
  _WORKDIR = cli.path_flag(
      'workdir', None, 'Directory of a pretrained run.', required=True)
  flags.DEFINE_string('step', 'best', "A checkpoint's number, best or latest.")
  flags.DEFINE_list('tasks', [], 'Names of tasks, groups or tags.')
  _INCLUDE = cli.path_flag(
      'include_path', None, "Folder of tasks; the harness's own by default.")
  _OUT = cli.path_flag(
      'out', None, 'Folder for lm_eval.json; <workdir>/evaluation by default.')
  flags.DEFINE_integer('limit', None, 'Most examples of each task.', 1)
  flags.DEFINE_integer('num_fewshot', None, 'Examples in the prompt.', 0)
  flags.DEFINE_integer(
      'batch_size', 8, 'About how many rows the device has at a time; changes '
      'no result.', 1)
  flags.DEFINE_bool(
      'apply_chat_template', False, 'Write prompts by the chat template.')
  flags.DEFINE_string(
      'system_instruction', None, 'What the system says before a prompt.')
  flags.DEFINE_integer('seed', 0, 'Of the draws.', 0, 2**32 - 1)
  cli.run(main)
