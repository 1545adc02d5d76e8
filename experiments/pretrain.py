r"""Pretrains a language model, measures it exactly, and samples from it.

  python experiments/pretrain.py --workdir=runs/demo
  python experiments/pretrain.py --workdir=runs/char --config=shakespeare_char \
      --config.data.source.paths=input.txt --config.training.steps=500

--config chooses a config, --config.a.b=value sets a field of it, and
--config.a.kind=Name chooses another part, with its own defaults. The same
command again continues a run that was stopped; touching WORKDIR/STOP, or a
signal, stops it.
"""
import pathlib
import time

from absl import flags
from lmjax.core import cli
from lmjax.core import trees
from lmjax.evaluation import report
from lmjax import experiment
from lmjax.models import presets
from lmjax.parallel import processes
from lmjax.planning import preview
from lmjax.recipes import counting
from lmjax.recipes import pretraining
from lmjax.recipes import replay
from lmjax.recipes import results
from lmjax.recipes import trained
from lmjax.run import launch as launching


def pretrain(
    config: experiment.Pretrain, workdir: str, profile: str | None = None,
    launch: launching.Launch = launching.Launch()) -> list[report.Report]:
  """Trains as `config` says, into `workdir`; returns held-out reports.

  The best checkpoint on held-out text is what is measured and sampled from.
  `profile` names a directory for a profiler trace.
  """
  begun, training = time.perf_counter(), config.training
  with launch.started(workdir, config) as started:
    parts = pretraining.prepare(config, workdir)
    data, model, tokenizer = parts.data, parts.model, parts.tokenizer
    print(data.describe())
    launch.check_params(trees.count(parts.shapes))
    results.prompts(config, tokenizer, model)  # Refused now, if ever.
    strategy = training.strategy()
    score_of = trained.scorer(
        config.objective, model, tokenizer, strategy, config.scoring.carried)

    run = started.open_run(data.hashes(), tokenizer)
    fitted, number, params = started.fit(
        run, parts.initial_state(), parts.batches, parts.batches.fingerprint,
        objective=parts.objective, optimizer=parts.optimizer,
        parallel=strategy, profile=profile,
        evaluate=results.watcher(config, data, parts.objective, score_of),
        learning_rate=config.optimizer.rate(training.steps),
        flops_per_token=parts.flops_per_token,
        documents=parts.batches.documents)

    reports = results.measure(config, data, score_of, params)
    if processes.current().first:
      results.publish(
          run, config, reports,
          results.draw(config, tokenizer, model, params), step=number,
          tokens=fitted.progress.tokens, seconds=time.perf_counter() - begun)
  return reports


def main(_):
  config = _CONFIG()
  if _REPLAY_STEP.value is not None:
    replay.replay(None, _WORKDIR.value, _REPLAY_STEP.value)
  elif _DRY_RUN.value:
    preview.show(config, _WORKDIR.value)
  elif isinstance(config, experiment.Count):
    counting.count(config, _WORKDIR.value, _LAUNCH())
  else:
    pretrain(config, _WORKDIR.value, _PROFILE.value, _LAUNCH())


if __name__ == '__main__':
  _CONFIG = cli.config_flag(
      experiment.Pretrain | experiment.Count,
      pathlib.Path(__file__).parent / 'configs/demo.py', presets.PRESETS,
      parallel='training.parallel', mesh='training.mesh',
      max_bad_steps='training.guard.max_bad_steps')
  _LAUNCH = launching.define_flags()
  _WORKDIR = flags.DEFINE_string(
      'workdir', None, 'Directory of the run.', required=True)
  _DRY_RUN = flags.DEFINE_bool(
      'dry_run', False, 'Print size, cost and the first batch, and stop.')
  _REPLAY_STEP = flags.DEFINE_integer(
      'replay_step', None, 'Show the batch of a step of the run in workdir, '
      'run the step again, and stop.', lower_bound=1)
  _PROFILE = flags.DEFINE_string(
      'profile', None, 'Directory for a profiler trace of five steps.')
  cli.run(processes.together(main))
