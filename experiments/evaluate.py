r"""Evaluates a pretrained run on the likelihood of text, and on questions.

  python experiments/evaluate.py --workdir=runs/demo
  python experiments/evaluate.py --workdir=runs/demo \
      --config.data.kind=TextFiles --config.data.paths=mine.txt \
      --config.scoring.stride=32
  python experiments/evaluate.py --workdir=runs/demo \
      --config.choices.paths=piqa.jsonl --config.choices.delimiter='Answer: '
  python experiments/evaluate.py --workdir=runs/demo \
      --config.choices.paths=piqa.jsonl --config.choices.shots.count=5 \
      --config.choices.shots.seeds=1,2,3
  python experiments/evaluate.py --workdir=runs/demo \
      --config.answers.paths=trivia.jsonl --config.answers.shots.count=5

Every token is scored exactly once. The tables are printed and, with hashes of
data, tokenizer and parameters, written to report.json; held_out.jsonl has the
loss of each document, and answers.jsonl each answer that the model wrote.
"""
import pathlib

from lmjax.core import cli
from lmjax.core import config as config_lib
from lmjax.evaluation import by_document
from lmjax.evaluation.choice import choices
from lmjax.evaluation.choice import open_answers
from lmjax.evaluation.choice import sensitivity
from lmjax.evaluation import harness
from lmjax.evaluation import held_out
from lmjax.evaluation import report
from lmjax import experiment
from lmjax.recipes.loaded import trained
import jax


def evaluate(config: experiment.Evaluate, workdir: str, out: str | None = None):
  """Returns the reports on texts, on multiple choice and on written answers.

  Args:
    config: The texts and questions to evaluate on, and the scoring.
    workdir: The directory of a run of `experiments/pretrain.py`.
    out: The folder for the results; by default `evaluation` in `workdir`.
  """
  folder = cli.results_folder(out or pathlib.Path(workdir) / 'evaluation')
  run = trained.load_any(workdir, config.checkpoint)
  scoring = config.scoring.settled(run.context)
  devices = jax.local_devices()
  shared = dict(context=scoring.context, parameters_hash=run.digest)

  texts, answers, written = [], [], []
  if config.data is not None or not (
      config.choices.paths or config.answers.paths):
    text, train = trained.texts(run, config, workdir)
    score, lay = trained.reading(run, scoring, devices)
    texts = held_out.reports(
        score, text, run.tokenizer, train=train, kind=run.kind,
        source=config.data or run.config.data.source,
        others=trained.mixtures(run, config, workdir, text),
        tokens=scoring.tokens, lay=lay, stride=scoring.stride,
        batch_size=scoring.batch_size, **shared)
    report.show(texts)
  if config.choices.paths:
    rate = trained.rate(run, scoring.context, scoring.batch_size, devices)
    answers = config.choices.evaluate(rate, run.tokenizer, **shared)
    for table in choices.tables(answers):
      report.display(table)
  if config.answers.paths:
    harness.check(run, 'config.answers')
    written = config.answers.evaluate(
        harness.Run(run).written_for, **shared,
        tokenizer_hash=run.tokenizer.digest)
    report.display(open_answers.table(written))
  if spreads := sensitivity.spreads([*answers, *written]):
    report.display(sensitivity.table(spreads))

  report.save(folder / 'report.json', texts, answers, run=str(workdir),
              step=run.step, config=config_lib.to_dict(config),
              answers=[one.to_dict() for one in written],
              sensitivity=[spread.to_dict() for spread in spreads])
  if texts:
    by_document.write(folder / 'held_out.jsonl', texts[0].by_document)
  if written:
    open_answers.save(folder / 'answers.jsonl', written)
  print(f'report: {folder / "report.json"}')
  return texts, answers, written


def main(_):
  config = _CONFIG()
  evaluate(config, _WORKDIR.value, _OUT.value)


if __name__ == '__main__':
  _CONFIG = cli.config_flag(
      experiment.Evaluate,
      pathlib.Path(__file__).parent / 'configs/evaluate.py', step='checkpoint')
  _WORKDIR = cli.path_flag(
      'workdir', None, 'Directory of a pretrained run.', required=True)
  _OUT = cli.path_flag(
      'out', None, 'Folder for report.json; <workdir>/evaluation by default.')
  cli.run(main)
