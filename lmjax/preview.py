"""What a run would do, told before it does it: `--dry_run`."""
from collections.abc import Mapping
import itertools

import numpy as np
import rich.console
import rich.table
import rich.text

from lmjax import experiment
from lmjax import pretraining
from lmjax.core import terminal
from lmjax.data import tokenizer as tokenizer_lib
from lmjax.models import cost


def show(config: experiment.Pretrain | experiment.Count, workdir: str,
         console: rich.console.Console | None = None) -> None:
  """Prints size, cost and the first batch of a run, and computes nothing else.

  Of a counted model, which has neither, it prints the data.

  Args:
    config: The run; its model's vocabulary may still be the tokenizer's.
    workdir: Its directory, for tokenized text if `config.data.cache` is None.
    console: Where to print.
  """
  console = console or rich.console.Console()
  if isinstance(config, experiment.Count):
    console.print(config.data.build(workdir).describe(), highlight=False)
    return
  parts = pretraining.prepare(config, workdir)
  batches, params = parts.batches, parts.shapes
  first = batches(0)
  console.print(parts.data.describe(), highlight=False)

  counts = cost.parameters_by_part(params)
  total = sum(counts.values())
  table = _table('Parameters', 'part', 'count', 'share')
  for part, count in counts.items():
    table.add_row(part, f'{count:,}', f'{count / total:.1%}')
  table.add_row('all', f'{total:,}', '', style='bold')
  console.print(table)

  flops = parts.flops_per_token
  tokens = batches.tokens_per_batch
  console.print(
      f'{flops / 1e6:,.2f} MFLOPs a token, {flops * tokens / 1e9:,.2f} GFLOPs '
      f'a step of {tokens:,} tokens, {config.training.steps:,} steps: '
      f'{config.training.steps / batches.steps_per_epoch:,.2f} epochs.',
      highlight=False)

  rows = max(1, config.data.batch_size // config.training.microbatches)
  memory = cost.memory(
      parts.objective, params, parts.optimizer,
      {name: array[:rows] for name, array in first.items()})
  table = _table('Memory on one device', 'of', 'MiB')
  for name in ('parameters', 'gradients', 'optimizer', 'activations'):
    table.add_row(name, f'{getattr(memory, name) / 2**20:,.1f}')
  table.add_row('all', f'{memory.total / 2**20:,.1f}', style='bold')
  console.print(table)

  console.print(
      f'First batch, row 0 of {len(first["inputs"])}; '
      f'{first["weights"].mean():.1%} of all targets count. Targets that do '
      'are green, the others red:')
  console.print(text_of(first, 0, parts.tokenizer))
  for name, array in first.items():
    if name.endswith('inputs') or name == 'targets':
      console.print(f'{name:<15} {array[0, :12].tolist()} ...')


def _table(title, *columns):
  table = rich.table.Table(title=title, title_justify='left')
  for i, column in enumerate(columns):
    table.add_column(column, justify='right' if i else 'left')
  return table


def text_of(batch: Mapping[str, np.ndarray], row: int,
            tokenizer: tokenizer_lib.Tokenizer) -> rich.text.Text:
  """Returns the targets of a row as text, green if they count, else red.

  Args:
    batch: A batch as an objective gets it.
    row: Which of its rows.
    tokenizer: What its ids are of.
  """
  text = rich.text.Text()
  names = {tokenizer.bos_id: '<BOS>', tokenizer.eos_id: '<EOS>'}
  names |= {token: name for name, token in tokenizer.specials.items()}
  columns = zip(*(batch[name][row].tolist() for name in (
      'targets', 'weights', 'segments')))
  real = [(token, weight > 0) for token, weight, segment in columns if segment]
  for counts, run in itertools.groupby(real, lambda pair: pair[1]):
    # Joined before they are decoded: a character may be several tokens.
    raw = b''.join(
        names[token].encode() if token in names
        else tokenizer.token_bytes(token) for token, _ in run)
    text.append(terminal.printable(raw.decode('utf-8', 'replace')),
                'green' if counts else 'red')
  return text
