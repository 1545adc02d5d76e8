"""Sizes that do not divide over a mesh are refused with the nearest fit."""
import dataclasses

import pytest

from lmjax.core import errors
from lmjax.models import decoder
from lmjax.models import encoder_decoder
from lmjax.models.presets import decoders
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn.mixture import experts
from lmjax.nn import pattern
from lmjax.parallel import divisions
from lmjax.parallel import sharding

GPT = decoder.DecoderConfig()
SCANNED = dataclasses.replace(GPT, scan=True)
MIXTURE = decoder.DecoderConfig(
    scan=True, block=block.PreNorm(mlp=experts.MixtureOfExperts(num_experts=6)))
WIDE = pattern.Layer(block.PreNorm(attention.AttentionConfig(6)))
PERIODS = dataclasses.replace(
    SCANNED, width=96, num_layers=6, pattern=pattern.Periodic(
        (pattern.Layer(), WIDE)))
APART = dataclasses.replace(
    SCANNED, pattern=pattern.LocalGlobal(every=2, first=(pattern.Layer(),)))


@pytest.mark.parametrize('model, mesh, options', [
    (GPT, 'data:2,fsdp:2,tensor:2', dict(rows=16, microbatches=4)),
    (GPT, 'tensor:4', {}),
    (GPT, 'sequence:4', dict(length=16)),
    (GPT, 'sequence:4', dict(length=None)),
    (MIXTURE, 'expert:3', dict(rows=6)),
    (GPT, 'sequence:2,tensor:2', dict(sequence='ulysses')),
    (decoders.PRESETS['tiny_llama'], 'sequence:4', dict(sequence='ulysses')),
    (SCANNED, 'stage:4', {}),
    (PERIODS, 'stage:3,tensor:2', {})])
def test_sizes_that_divide_are_accepted(model, mesh, options):
  divisions.check(model, sharding.parse(mesh), **dict(rows=8) | options)


@pytest.mark.parametrize('model, mesh, options, says', [
    (GPT, 'data:2,fsdp:2,tensor:2', dict(rows=12, microbatches=2),
     '12 rows.*8 parts .2 along data x 2 along fsdp x 2 microb.*is 16'),
    (MIXTURE, 'expert:3', dict(rows=8), '8 rows.*3 along expert.*is 9'),
    (GPT, 'tensor:8', {},
     'model.block.mixer.num_heads is 4.*tensor:8.*tensor:4.*num_heads is 8'),
    (decoders.PRESETS['tiny_llama'], 'tensor:4', {}, 'num_kv_heads is 2'),
    (MIXTURE, 'expert:4', {},
     'mlp.num_experts is 6.*expert:4.*has expert:3.*num_experts is 8'),
    (GPT, 'expert:2', {}, 'expert:2.*has none.*MixtureOfExperts'),
    (GPT, 'sequence:4', dict(length=20), '20 tokens.*sequence:4.*is 16'),
    (GPT, 'sequence:4,tensor:2', dict(sequence='ulysses'),
     '2 query and 2 key heads.*model.block.mixer.*sequence:4.*has sequence:2'),
    (decoders.llama(48, 2, 6, 2, 96, vocab_size=8, context=12), 'sequence:3',
     dict(sequence='ulysses'), '6 query and 2 key heads.*has sequence:2'),
    (GPT, 'stage:2', {}, 'model.scan=True.*got DecoderConfig with scan=False'),
    (encoder_decoder.EncoderDecoderConfig(scan=True), 'stage:2', {},
     'got EncoderDecoderConfig'),
    (MIXTURE, 'stage:2', {}, 'cannot be combined with a mixture'),
    (SCANNED, 'stage:3', {},
     'num_layers is 4.*stage:3.*has stage:2.*num_layers is 3'),
    (PERIODS, 'tensor:4', {},
     r'model.pattern.period.1.block.mixer.num_heads is 6.*has tensor:3'),
    (PERIODS, 'stage:2', {},
     'is 6, which, in periods of 2, does .*has stage:1, .*num_layers is 8'),
    (APART, 'stage:2', {}, 'whole periods of their.*and 4 layers')])
def test_sizes_that_do_not_divide_are_refused(model, mesh, options, says):
  with pytest.raises(errors.InputError, match=says):
    divisions.check(model, sharding.parse(mesh), **dict(rows=8) | options)
