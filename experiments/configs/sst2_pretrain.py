r"""SST-2, first part: a language model of the training phrases.

  python experiments/pretrain.py --workdir=runs/sst2_lm --config=sst2_pretrain \
      --config.data.source.paths='sst2_glue/train_*.tsv'

Takes 317 s of processor time on one core of an Intel Xeon. Its held-out loss is
too low: the phrases of one sentence overlap, and the split by hash puts them on
both sides.
"""
from lmjax.data import pipeline
from lmjax.data.text import splits
from lmjax.data.text import tables
from lmjax.data.tokenizers import subwords
from lmjax import experiment
from lmjax.generation import samples
from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import positions
from lmjax.training.optimizers import muon
from lmjax.training.optimizers import schedules
from lmjax.training import options


def get_model():
  return decoder.DecoderConfig(
      context=64, width=128, num_layers=2,
      positions=positions.Alibi(), embed=parts.Embed(dropout=0.1),
      block=block.PreNorm(
          mixer=attention.AttentionConfig(num_heads=4),
          mlp=layers.MLPConfig(hidden=512), dropout=0.1))


def get_config():
  return experiment.Pretrain(
      data=pipeline.DataConfig(
          source=tables.Delimited(
              paths=('sst2_glue/train_*.tsv',), field='sentence',
              delimiter='\t', quoted=False),
          split=splits.HashSplit(valid=0.02, test=0.0),
          tokenizer=subwords.SentencePiece(vocab_size=8000),
          batch_size=32),
      model=get_model(),
      optimizer=muon.Muon(
          learning_rate=4e-3, schedule=schedules.Linear(warmup=50)),
      training=options.Training(steps=1000, eval_every=250),
      samples=samples.Samples(prompts=('the film', 'a'), max_new_tokens=40))
