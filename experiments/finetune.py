"""Fine-tunes a pretrained run on a task, or trains on it from scratch.

  python experiments/finetune.py --workdir=runs/docstrings
  python experiments/finetune.py --workdir=runs/tuned --config.init=runs/demo
  python experiments/finetune.py --workdir=runs/head --config.init=runs/demo \\
      --config.train_only=layer_3/,final_norm,classes/

Reports accuracy, macro-F1 and a confusion matrix on the test split, beside
baselines. --config.a.b=value sets a field of the config, --config.a.kind=Name
chooses another part. The same command again continues a run that was stopped.
"""
import pathlib
import time

from absl import flags
from lmjax.core import cli
from lmjax.core import trees
from lmjax.evaluation import classification
from lmjax import experiment
from lmjax.models import presets
from lmjax.parallel import processes
from lmjax.recipes import finetuning
from lmjax.run import launch as launching
from lmjax.training.optimizers import rules
from lmjax.training import step


def finetune(
    config: experiment.Finetune, workdir: str,
    launch: launching.Launch = launching.Launch()
) -> dict[str, classification.Classification]:
  """Trains as `config` says, into `workdir`; returns results on the test split.

  The best checkpoint on the validation split is what is tested, once.
  """
  begun, task, training = time.perf_counter(), config.task, config.training
  with launch.started(workdir, config) as started:
    splits = task.source.read()
    start = finetuning.start(config, splits)
    rows = {name: task.features.build(
        getattr(splits, name), splits.labels, start.tokenizer)
            for name in ('train', 'valid', 'test')}
    hashes = {'task.source: examples': finetuning.digest(splits),
              'tokenizer: ids': start.tokenizer.digest,
              'init: parameters': start.digest}
    model = config.head.build(start.backbone, len(splits.labels))
    params = start.initial_params(model, training.seed)
    launch.check_params(trees.count(params))
    held = finetuning.frozen(config, params)
    optimizer = finetuning.optimizer(config, held).build(params, training.steps)
    state = step.init_state(
        params, optimizer, training.seed, ema=training.ema_decay is not None,
        equal=training.average is not None, guard=training.guard)
    strategy = training.strategy()
    logits_of = finetuning.predictor(model, strategy, len(splits.labels))

    def evaluate(params, _):
      numbers = task.metrics.numbers(
          logits_of(params, rows['valid']), rows['valid'], splits.labels)
      return {f'valid/{name}': value for name, value in numbers.items()}

    batches = rows['train'].batches(training.seed)
    run = started.open_run(hashes, start.tokenizer)
    fitted, number, params = started.fit(
        run, state, batches, hashes | {
            'training.seed': training.seed,
            'task.features': repr(task.features)},
        documents=batches.documents,
        objective=rules.without_gradient(task.objective.build(model), held),
        optimizer=optimizer, parallel=strategy, evaluate=evaluate)

    logits = logits_of(params, rows['test'])
    results = {'model': task.metrics.result(
        logits, rows['test'], splits.labels)}
    results |= task.metrics.baseline_results(splits, rows['test'])
    if processes.current().first:
      finetuning.publish(
          run, results, logits, splits, [*splits.notes, *(
              f'{name}: {r.describe()}.' for name, r in rows.items())],
          step=number, stopped_early=fitted.stopped_early, init=config.init,
          parameters_hash=trees.digest(params),
          seconds=time.perf_counter() - begun)
  return results


def main(_):
  finetune(_CONFIG(), _WORKDIR.value, _LAUNCH())


if __name__ == '__main__':
  _CONFIG = cli.config_flag(
      experiment.Finetune,
      pathlib.Path(__file__).parent / 'configs/finetune_docstrings.py',
      presets.PRESETS,
      parallel='training.parallel', mesh='training.mesh',
      max_bad_steps='training.guard.max_bad_steps')
  _LAUNCH = launching.define_flags()
  _WORKDIR = flags.DEFINE_string(
      'workdir', None, 'Directory of the run.', required=True)
  cli.run(processes.together(main))
