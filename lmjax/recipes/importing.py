"""Imports published weights as a run directory, which every script can use."""
from collections.abc import Collection, Sequence
import json
import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lmjax.checkpoints import store
from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core.files import user_paths
from lmjax.core import trees
from lmjax.data.corruption import noising
from lmjax.data.corruption import spans
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.tokenizers import pretrained
from lmjax.data.tokenizers import vocabulary
from lmjax.evaluation import scoring as scoring_lib
from lmjax import experiment
from lmjax.interop import certificate as certificate_lib
from lmjax.interop import checkpoint as checkpoint_lib
from lmjax.interop import continuing
from lmjax.interop import importing
from lmjax.interop.mapping import grouping
from lmjax.interop import runs
from lmjax.models import cost
from lmjax.models import model as model_lib
from lmjax.objectives.encoders import contrastive
from lmjax.objectives.encoders import mlm
from lmjax.objectives import lm
from lmjax.objectives import permutation
from lmjax.objectives import seq2seq
from lmjax.recipes import auditing
from lmjax.run import directory
from lmjax.run import signed
from lmjax.training import step as step_lib

_LONGEST = 1024  # Tokens of a window in which text is scored by default.


def load(source: str | os.PathLike[str],
         tokenizer: str | os.PathLike[str] | None = None,
         ignore: Sequence[str] = (), accept: Collection[str] = ()
         ) -> tuple[importing.Imported, vocabulary.Tokenizer, str]:
  """Reads published weights and their tokenizer.

  Args:
    source: A folder or file; see `checkpoint.open_source`.
    tokenizer: The folder or file of the tokenizer; None means that it is with
      the weights.
    ignore: Patterns of names of tensors to leave out.
    accept: Fields of the config to leave out; see `importing.convert`.

  Returns:
    The model, the tokenizer, and the path of the tokenizer.

  Raises:
    InputError: If something is damaged, unknown or missing, or the tokenizer
      has more ids than the model.
  """
  opened = checkpoint_lib.open_source(source)
  if tokenizer is not None:
    path = os.fspath(tokenizer)
    found = pretrained.PretrainedTokenizer(path).build()
  elif opened.read_tokenizer is not None:
    path, found = os.fspath(source), opened.read_tokenizer()
  else:
    raise errors.InputError(
        f'{source} has no tokenizer; give its file or folder with --tokenizer.')
  imported = importing.convert(opened, ignore=ignore, accept=accept)
  _check_size(imported.config, found)
  if imported.config.traits.reads_source:
    start = continuing.of(
        opened.generation, imported.config.vocab_size, opened.path).start_id
    if start not in found.sentinel_ids:  # Else it needs no id in front.
      found = found.started(start)
  certificate = certificate_lib.read(opened.path)
  if certificate is not None:
    certificate_lib.check(
        certificate, imported.model, imported.params,
        **certificate_lib.behaviour(imported))
  return imported, found, path


def audit(imported: importing.Imported, tokenizer: vocabulary.Tokenizer,
          accept: Sequence[str] = (), text: str | None = None) -> str:
  """Compares the config of an imported model with its weights.

  Args:
    imported: The model.
    tokenizer: Its tokenizer.
    accept: Fields of the config that may be wrong.
    text: A text file in a language that the model knows; None means plain
      English.

  Returns:
    A line on the outcome.

  Raises:
    InputError: If the weights contradict the config, or the text cannot be
      read.
  """
  config = imported.config
  if 'tokens' not in config.traits.heads:
    return 'audit: none, since the model predicts no tokens'
  found = auditing.audit(
      runs.Pretrained(config, tokenizer, imported.model, imported.params, 0),
      None if text is None else auditing.read_text(text),
      context=min(_LONGEST, config.context), quick=True)
  refusal = found.refusal(accept)
  if refusal is not None:
    raise errors.InputError(refusal)
  doubt = found.doubt()
  return f'audit: {doubt}' if doubt else (
      'audit: no other reading of the weights is better than the config '
      f'({len(found.findings)} tried, {found.seconds:.0f} s)')


def save(imported: importing.Imported, tokenizer: vocabulary.Tokenizer,
         tokenizer_path: str, workdir: str | os.PathLike[str]
         ) -> directory.RunDir:
  """Writes an imported model as a run directory, which appears when complete.

  Args:
    imported: The model.
    tokenizer: Its tokenizer.
    tokenizer_path: The file or folder of the tokenizer, for the run's config.
    workdir: The directory, which should not exist yet or be empty.

  Raises:
    InputError: If the directory holds files, or an id that ends texts is not of
      the model's vocabulary.
  """
  path = pathlib.Path(workdir)
  user_paths.check_free(path, '--workdir')
  continuing.of(imported.source.generation, imported.config.vocab_size,
                imported.source.path)
  config = run_config(
      imported.config, tokenizer, pretrained.PretrainedTokenizer(
          tokenizer_path, start=tokenizer.start_id))
  with atomic.folder(path) as folder:
    run = directory.open_run(folder, config)
    tokenizer.save(run.tokenizer)
    atomic.write(run.imported, json.dumps(_facts(imported), indent=2) + '\n')
    if imported.source.readout is not None:
      runs.write_readout(run, imported.source.readout)
    facts = signed.facts(run) | {
        'pipeline': {'data.tokenizer: ids': tokenizer.digest}, 'skips': []}
    state = step_lib.TrainState(
        step=jnp.zeros([], jnp.int32), params=imported.params,
        opt_state=optax.identity().init(imported.params),
        rng=jax.random.key(0))
    with store.Checkpoints(run.checkpoints, facts=facts) as checkpoints:
      checkpoints.preflight(state)
      checkpoints.save(0, state)
  return directory.RunDir(path)


def describe(imported: importing.Imported,
             tokenizer: vocabulary.Tokenizer) -> str:
  """Returns lines on a model: its family, size, tokenizer and tensors."""
  match, config = imported.match, imported.config
  parts = cost.parameters_by_part(imported.params)
  types = sorted({imported.source.tensors[name].dtype
                  for row in match.rows for name in row.names})
  lines = [
      f'family: {imported.family.name}, from {", ".join(types)} tensors',
      f'parameters: {trees.count(imported.params):,} (' + ', '.join(
          f'{name} {count:,}' for name, count in parts.items()) + ')',
      f'context: {config.context:,} tokens',
      f'tokenizer: {tokenizer.describe()}']
  how = imported.source.readout
  if how is not None:
    lines.append(f'vectors of texts: {how.describe()}')
  if config.vocab_size > tokenizer.vocab_size:
    lines.append(
        f'unused ids: {config.vocab_size - tokenizer.vocab_size:,} of the '
        f"model's {config.vocab_size:,}")
  lines += [f'tied: {copy} equals {original}'
            for copy, original in match.copies]
  if match.ignored:
    lines.append('ignored: ' + ', '.join(grouping.grouped(match.ignored)))
  return '\n'.join(lines)


def run_config(config: model_lib.ModelConfig, tokenizer: vocabulary.Tokenizer,
               made: Any) -> experiment.Pretrain:
  """Returns the config of a run that has a model, but no data of its own.

  Its objective is the one whose likelihood the model defines, so that the run
  can be evaluated, and be trained further on data that a user gives it.

  Args:
    config: The model's config.
    tokenizer: Its tokenizer.
    made: The config of the tokenizer.
  """
  traits, corruption = config.traits, None
  if traits.reads_source:
    objective = seq2seq.Seq2Seq()
    corruption = (
        spans.SpanCorruption() if tokenizer.sentinel_ids
        else noising.Bart() if '[MASK]' in tokenizer.specials else None)
  elif traits.two_stream:
    objective = permutation.PermutationLM()
  elif traits.causal:
    objective = lm.Causal()
  elif 'tokens' in traits.heads:
    objective = mlm.MaskedLM()
  else:
    objective = contrastive.SimCSE()  # It defines no likelihood.
  return experiment.Pretrain(
      data=pipeline.DataConfig(
          source=sources.InMemory(()), split=None, tokenizer=made,
          corruption=corruption),
      model=config, objective=objective, scoring=scoring_lib.Scoring(
          context=min(_LONGEST, config.context) if traits.causal else None))


def _facts(imported: importing.Imported) -> dict[str, Any]:
  """Returns what a run keeps of the files that its model was imported from."""
  return {
      'source': os.fspath(imported.source.path),
      'model_type': imported.source.config.get(
          'model_type', imported.family.model_types[0]),
      'parameters': trees.digest(imported.params),
      'generation': dict(imported.source.generation),
      'chat_template': imported.source.chat_template}


def _check_size(config: model_lib.ModelConfig,
                tokenizer: vocabulary.Tokenizer) -> None:
  """Raises InputError if a tokenizer has more ids than a model."""
  if tokenizer.vocab_size > config.vocab_size:
    raise errors.InputError(
        f'The tokenizer has {tokenizer.vocab_size:,} ids, but the model has '
        f'only {config.vocab_size:,} (vocab_size of config.json): it is the '
        'tokenizer of another model.')
