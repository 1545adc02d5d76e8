r"""Every model with every objective that makes sense for it, on the same data.

  python experiments/pretrain.py --workdir=runs/mlm \
      --config=objectives:encoder_mlm --config.data.source.paths=input.txt

The name after the colon is a key of `PAIRS`. All pairs have the data,
tokenizer, width, depth, batch size and optimizer of `BASE`: the speeches of
Tiny Shakespeare as characters, in rows of 128, with the last tenth held out.
experiments/compare_objectives.py trains all pairs and writes a table. With one
seed and 2 minutes of processor time per pair on an Intel Xeon (bits per byte
under the named kind of likelihood, exact ones on all held-out text, the others
on its first 5,000 tokens; accuracy of the probe with standard error 0.02, where
the most common speaker has 0.256, an untrained decoder 0.287 and naive Bayes
0.312):

  pair                    steps  likelihood   bits/byte  probe
  ngram                       -  exact            2.227      -
  rotary_causal             296  exact            2.921  0.287
  ssm_causal                 76  exact            3.116  0.300
  lstm_truncated            545  exact            3.123  0.338
  lstm_causal               522  exact            3.196  0.325
  decoder_causal            317  exact            3.301  0.296
  decoder_prefix            311  exact            3.393  0.310
  decoder_middle            289  exact            3.445  0.314
  decoder_multi_token       179  exact            3.650  0.306
  hmm                         -  exact            4.893      -
  encoder_diffusion         285  bound            4.685  0.262
  t5_prefix                 233  conditional      3.482  0.296
  bart                      225  span pseudo      3.459  0.247
  t5_ul2                    246  span pseudo      4.049  0.291
  decoder_ul2               315  span pseudo      4.116  0.273
  t5_spans                  425  span pseudo      4.342  0.245
  decoder_spans             309  span pseudo      4.426  0.264
  xlnet                     106  permutation      4.608  0.252
  decoder_mlm               273  pseudo           4.460  0.273
  encoder_mlm               319  pseudo           4.485  0.285
  encoder_next_sentence     304  pseudo           4.513  0.281
  encoder_mlm_spans         289  pseudo           4.519  0.268
  encoder_mlm_words         284  pseudo           4.526  0.258
  encoder_sentence_order    290  pseudo           4.565  0.258
  electra                   186  none                 -  0.289
  encoder_contrastive       128  none                 -  0.270

Such short training shows how fast each pair starts, not how good it becomes:
only the LSTMs' probes are significantly better than an untrained model's. The
span pseudo-likelihoods were measured later, after the same numbers of steps, on
an AMD EPYC. With 4 minutes: rotary_causal 2.580, ssm_causal 2.467,
lstm_truncated 2.696, lstm_causal 2.705, decoder_causal 2.830.
"""
import dataclasses

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.data import continuous
from lmjax.data.corruption import denoisers
from lmjax.data.corruption import middle
from lmjax.data.corruption import noising
from lmjax.data.corruption import prefixes
from lmjax.data.corruption import spans
from lmjax.data import pairs as pairs_lib
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import scoring
from lmjax import experiment
from lmjax.generation import samples
from lmjax.models.counted import hmm
from lmjax.models.counted import ngram
from lmjax.models import decoder
from lmjax.models import electra
from lmjax.models import encoder
from lmjax.models import encoder_decoder
from lmjax.models import lstm
from lmjax.models import multi_token as multi_token_model
from lmjax.models import parts
from lmjax.models import xlnet
from lmjax.nn import block
from lmjax.nn import positions
from lmjax.nn import ssm
from lmjax.objectives.encoders import contrastive
from lmjax.objectives.encoders import diffusion
from lmjax.objectives.encoders import masking
from lmjax.objectives.encoders import mlm
from lmjax.objectives.encoders import pairs
from lmjax.objectives.encoders import replaced
from lmjax.objectives import lm
from lmjax.objectives import multi_token
from lmjax.objectives import permutation
from lmjax.objectives import prefix
from lmjax.objectives import seq2seq
from lmjax.objectives import truncated
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import schedules
from lmjax.training import options

LENGTH = 128
BASE = experiment.Pretrain(
    data=pipeline.DataConfig(
        source=sources.TextFiles(paths=('input.txt',), split_on='paragraph'),
        split=splits.PositionSplit(valid=0.1),
        tokenizer=symbols.Characters(), length=LENGTH, batch_size=32),
    model=decoder.DecoderConfig(context=LENGTH),
    optimizer=adamw.AdamW(
        learning_rate=1e-3, schedule=schedules.Cosine(warmup=100)),
    training=options.Training(steps=2000, eval_every=500),
    scoring=scoring.Scoring(stride=LENGTH // 2),
    samples=samples.Samples(prompts=()))

DECODER = BASE.model
ENCODER = encoder.EncoderConfig(context=LENGTH)
T5 = encoder_decoder.EncoderDecoderConfig(context=LENGTH)
MASK = ('[MASK]',)
TEXTS = ('[MASK]', '[CLS]', '[SEP]')


def pair(model, objective, specials=(), sentinels=0, **data):
  """Returns `BASE` with another model, objective and data fields."""
  config = dataclasses.replace(
      BASE, model=model, objective=objective, data=dataclasses.replace(
          BASE.data, specials=specials, sentinels=sentinels, **data))
  # Likelihoods that take many passes score only a part of the text.
  tokens = None if config.likelihood == 'exact' else 5000
  return dataclasses.replace(
      config, scoring=dataclasses.replace(BASE.scoring, tokens=tokens))


PAIRS = {
    'ngram': experiment.Count(
        data=BASE.data, model=ngram.NgramConfig(order=6),
        scoring=scoring.Scoring(context=1024)),
    'hmm': experiment.Count(
        data=BASE.data, model=hmm.HmmConfig(num_states=64, steps=10),
        scoring=scoring.Scoring(context=1024)),
    'decoder_causal': pair(DECODER, lm.Causal()),
    'rotary_causal': pair(dataclasses.replace(
        DECODER, positions=positions.Rotary()), lm.Causal()),
    'ssm_causal': pair(dataclasses.replace(
        DECODER, positions=positions.NoPositions(),
        block=block.PreNorm(mixer=ssm.SSMConfig())), lm.Causal()),
    'lstm_causal': pair(
        lstm.RecurrentConfig(context=LENGTH, width=256), lm.Causal()),
    'lstm_truncated': pair(
        lstm.RecurrentConfig(context=LENGTH, width=256),
        truncated.TruncatedBPTT(), packing=continuous.Continuous(streams=32)),
    'encoder_mlm': pair(ENCODER, mlm.MaskedLM(), MASK),
    'encoder_mlm_words': pair(
        ENCODER, mlm.MaskedLM(selection=masking.WholeWords()), MASK),
    'encoder_mlm_spans': pair(
        ENCODER, mlm.MaskedLM(selection=masking.Spans()), MASK),
    'decoder_mlm': pair(
        dataclasses.replace(DECODER, causal=False), mlm.MaskedLM(), MASK),
    'encoder_next_sentence': pair(
        dataclasses.replace(ENCODER, pooler=encoder.Pooler()),
        pairs.SentencePairs(), TEXTS, packing=pairs_lib.NextSentence()),
    'encoder_sentence_order': pair(
        dataclasses.replace(ENCODER, pooler=encoder.Pooler()),
        pairs.SentencePairs(), TEXTS, packing=pairs_lib.SentenceOrder()),
    'electra': pair(
        electra.ElectraConfig(
            generator=encoder.EncoderConfig(
                context=LENGTH, width=64, embed=parts.TypedEmbed(size=128)),
            discriminator=encoder.EncoderConfig(
                context=LENGTH, tokens=None, replaced=encoder.ReplacedHead())),
        replaced.ReplacedTokens(), MASK),
    'encoder_contrastive': pair(
        dataclasses.replace(
            ENCODER, embed=parts.TypedEmbed(dropout=0.1),
            block=dataclasses.replace(ENCODER.block, dropout=0.1)),
        contrastive.SimCSE()),
    'encoder_diffusion': pair(ENCODER, diffusion.MaskedDiffusion(), MASK),
    'decoder_multi_token': pair(
        multi_token_model.MultiTokenConfig(trunk=DECODER),
        multi_token.MultiToken()),
    'decoder_prefix': pair(
        DECODER, prefix.PrefixLM(),
        corruption=prefixes.PrefixLM(joined=True)),
    'decoder_middle': pair(
        DECODER, lm.Causal(), ('[PRE]', '[SUF]', '[MID]'),
        corruption=middle.FillInTheMiddle()),
    'decoder_spans': pair(
        DECODER, prefix.PrefixLM(), sentinels=32,
        corruption=spans.SpanCorruption(joined=True)),
    'decoder_ul2': pair(
        DECODER, prefix.PrefixLM(), ('[R]', '[S]', '[X]'), sentinels=64,
        corruption=denoisers.UL2(joined=True)),
    't5_spans': pair(
        T5, seq2seq.Seq2Seq(), sentinels=32,
        corruption=spans.SpanCorruption()),
    't5_ul2': pair(
        T5, seq2seq.Seq2Seq(), ('[R]', '[S]', '[X]'), sentinels=64,
        corruption=denoisers.UL2()),
    't5_prefix': pair(
        T5, seq2seq.Seq2Seq(), sentinels=1,
        corruption=prefixes.PrefixLM()),
    'bart': pair(
        T5, seq2seq.Seq2Seq(), MASK, corruption=noising.Bart()),
    'xlnet': pair(
        xlnet.XLNetConfig(context=LENGTH), permutation.PermutationLM()),
}


def get_config(name='decoder_causal'):
  if name not in PAIRS:
    raise errors.InputError(
        f'{name!r} is not among the pairs; choose from {sorted(PAIRS)}.'
        f'{config_lib.near(name, PAIRS)}')
  return PAIRS[name]
