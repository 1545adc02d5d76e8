"""Configs refuse the impossible, and survive editing."""
import dataclasses

import pytest

from lmjax.core import changes
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.data import continuous
from lmjax.data.corruption import denoisers
from lmjax.data.corruption import middle
from lmjax.data.corruption import noising
from lmjax.data.corruption import prefixes
from lmjax.data.corruption import spans
from lmjax.data import pipeline
from lmjax.evaluation import held_out
from lmjax import experiment
from lmjax.objectives import lm
from lmjax.objectives import prefix
from lmjax.objectives import seq2seq
from lmjax.objectives import truncated
from lmjax.training import guard
from lmjax.training import options

@pytest.mark.parametrize(
    'kind', [experiment.Pretrain, experiment.Count, experiment.Finetune],
    ids=lambda k: k.__name__)
def test_configs_survive_editing(kind):
  assert config_lib.freeze(kind, config_lib.to_dict(kind())) == kind()


def test_continuous_rows_need_truncated_bptt():
  with pytest.raises(errors.InputError, match='Continuous and Causal'):
    experiment.Pretrain(data=pipeline.DataConfig(
        packing=continuous.Continuous(streams=32), batch_size=32))
  with pytest.raises(errors.InputError, match='Packed and TruncatedBPTT'):
    experiment.Pretrain(objective=truncated.TruncatedBPTT())


@pytest.mark.parametrize('kind', [
    experiment.Pretrain, experiment.Finetune, experiment.Count])
def test_the_rules_of_changes_name_fields(kind):
  config = kind()
  if hasattr(config, 'training'):  # With all its parts.
    config = dataclasses.replace(config, training=options.Training(
        guard=guard.Guard(spike=guard.Spike())))
  fields = config_lib.leaves(config_lib.to_dict(config))
  rules = kind.changes
  names = [*rules.structural, *rules.cosmetic, *(n for n, _ in rules.notes)]
  assert names and 'model' in rules.structural
  changes.check_names(names, fields)
  for model in ('', 'trunk.', 'generator.', 'discriminator.'):
    assert changes.covered(f'model.{model}scan', rules.fitting) == (
        kind is not experiment.Count)


@pytest.mark.parametrize('objective, corruption, kind', [
    (lm.Causal(), None, 'exact'), (seq2seq.Seq2Seq(), None, 'conditional'),
    (seq2seq.Seq2Seq(), spans.SpanCorruption(), 'span pseudo'),
    (seq2seq.Seq2Seq(), denoisers.UL2(), 'span pseudo'),
    (seq2seq.Seq2Seq(), noising.Bart(), 'span pseudo'),
    (seq2seq.Seq2Seq(), noising.Bart(rate=0.0), 'conditional'),
    (seq2seq.Seq2Seq(), prefixes.PrefixLM(), 'conditional'),
    (prefix.PrefixLM(), prefixes.PrefixLM(joined=True), 'exact'),
    (prefix.PrefixLM(), spans.SpanCorruption(joined=True), 'span pseudo'),
    (lm.Causal(), middle.FillInTheMiddle(), 'exact')])
def test_a_model_is_scored_by_what_it_was_trained_for(
    objective, corruption, kind):
  config = experiment.Pretrain(
      objective=objective, data=pipeline.DataConfig(corruption=corruption))
  assert config.likelihood == kind and kind in held_out.KINDS


def test_an_impossible_mesh_is_refused():
  for mesh, microbatches, told in (
      ('tensor:8', 1, 'num_heads is 4'), ('data:3', 1, '32 rows.*3 parts'),
      ('fsdp:8', 8, '32 rows.*64 parts.*is 64')):
    training = options.Training(
        parallel='mesh', mesh=mesh, microbatches=microbatches)
    with pytest.raises(errors.InputError, match=told):
      experiment.Pretrain(training=training)
