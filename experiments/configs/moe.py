"""A mixture of experts on the Python language reference, beside the demo.

  python experiments/pretrain.py --workdir=runs/moe --config=moe

The demo, but each MLP is 8 experts of half its width, of which a token uses 2:
the same FLOPs for a token but for the router's.

Measured beside the demo for 33 steps, as many as both made in 50 s of a busy
machine: 2,757,760 parameters of which a token uses 988,288 (the demo: 984,192);
6.71 MFLOPs a token in training (6.68); 5.31 nats a token over steps 21 to 30 on
text not seen before (5.18); 1.6 times the processor time for a step. So early
the experts help nothing; all 450 steps were not measured.
"""
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import subwords
from lmjax import experiment
from lmjax.models.presets import decoders
from lmjax.training.optimizers import muon
from lmjax.training.optimizers import schedules
from lmjax.training import options


def get_config():
  return experiment.Pretrain(
      data=pipeline.DataConfig(
          source=sources.Embedded(name='python-docs'),
          split=splits.HashSplit(valid=0.1, test=0.0),
          tokenizer=subwords.SentencePiece(vocab_size=1024, model='bpe'),
          batch_size=16),
      model=decoders.mixtral(
          128, 4, 4, 4, 192, vocab_size=None, context=128),
      optimizer=muon.Muon(
          learning_rate=4e-3, schedule=schedules.Linear(warmup=20)),
      training=options.Training(steps=450, eval_every=50))
