"""A run whose model is counted instead of trained by gradients."""
import time

from lmjax import experiment
from lmjax.core import config as config_lib
from lmjax.evaluation import held_out
from lmjax.evaluation import report
from lmjax.evaluation import run_page
from lmjax.training import rundir


def count(config: experiment.Count, workdir: str) -> list[report.Report]:
  """Counts as `config` says, into `workdir`; returns held-out reports.

  Data, tokenizer, evaluator, report and page are those of a trained model.

  Raises:
    InputError: If the directory holds another run, or the data cannot be read.
  """
  begun = time.perf_counter()
  rundir.check(workdir, config)
  data = config.data.build(workdir)
  tokenizer = data.tokenizer
  print(data.describe())
  run = rundir.open_run(workdir, config, data.hashes())
  tokenizer.save(run.tokenizer)

  model = config.model.fit(
      held_out.Documents(data.train), tokenizer.vocab_size, tokenizer.bos_id)
  model.save(run.counts)
  facts = {'tokens': data.train.num_tokens,
           'seconds': time.perf_counter() - begun}
  name = config.model.title
  print(f'{name}: {data.train.num_tokens:,} tokens in {facts["seconds"]:.1f} s')

  scoring = config.scoring
  context = scoring.context or 1024
  held = data.valid is not None
  reports = held_out.reports(
      model, data.valid if held else data.train, tokenizer, context=context,
      stride=scoring.stride or max(1, context // 2),
      batch_size=scoring.batch_size, tokens=scoring.tokens, train=data.train,
      source=config.data.source,
      name=name if held else f'{name} (on its training text)',
      parameters_hash=model.digest)
  report.save(run.report, reports, **facts)
  run_page.write(run.page, title=run.path.name, reports=reports, facts=facts,
                 config=config_lib.to_dict(config))
  report.show(reports)
  print(f'---\nreport: {run.page}')
  return reports
