"""Runs of models that are fitted by counting instead of by gradients."""
import json
import time

from lmjax.core import config as config_lib
from lmjax.evaluation import by_document
from lmjax.evaluation import held_out
from lmjax.evaluation import report
from lmjax.evaluation import run_page
from lmjax import experiment
from lmjax.recipes import attempts as attempts_lib
from lmjax.recipes import summary
from lmjax.run import launch as launching


def count(config: experiment.Count, workdir: str,
          launch: launching.Launch = launching.Launch()
          ) -> list[report.Report]:
  """Fits the model of `config` in `workdir`; returns held-out reports.

  Data, tokenizer, evaluation, report and page are the same as for a trained
  model.

  Raises:
    InputError: If the directory holds another run, or the data cannot be read.
  """
  begun = time.perf_counter()
  with launch.started(workdir, config) as started:
    data = config.data.build(workdir)
    tokenizer = data.tokenizer
    print(data.describe())
    scoring = config.scoring.settled(config.context)
    run = started.open_run(data.hashes())
    tokenizer.save(run.tokenizer)

    model = config.model.fit(
        held_out.Documents(data.train), tokenizer.vocab_size, tokenizer.bos_id)
    model.save(run.counts)
    facts = {'tokens': data.train.num_tokens,
             'seconds': time.perf_counter() - begun}
    print(f'{config.model.title}: {facts["tokens"]:,} tokens in '
          f'{facts["seconds"]:.1f} s')

    reports = _measure(config, scoring, data, model)
    by_document.write(run.held_out, reports[0].by_document)
    report.save(run.report, reports, **facts)
    report.show(reports)
    start = json.loads(run.facts.read_text())[-1]
    attempts = attempts_lib.Attempts()
    attempts.make('page', lambda: run_page.write(
        run.page, title=run.path.name, reports=reports, facts=facts | start,
        about={'model': config.model.title} | summary.of_data(data)
        | summary.of_start(start), config=config_lib.to_dict(config)))
    attempts.finish()
    print(f'---\nreport: {run.page}')
  return reports


def _measure(config, scoring, data, model) -> list[report.Report]:
  """Returns reports of the model and the baselines on held-out text."""
  name = config.model.title
  held = data.valid is not None
  return held_out.reports(
      model, data.valid if held else data.train, data.tokenizer,
      context=scoring.context, stride=scoring.stride,
      batch_size=scoring.batch_size, tokens=scoring.tokens, train=data.train,
      source=config.data.source,
      name=name if held else f'{name} (on its training text)',
      parameters_hash=model.digest)
