"""The demo with a mixture of experts in place of each MLP.

  python experiments/pretrain.py --workdir=runs/moe --config=moe

Each MLP becomes 8 experts of half its width, of which a token uses 2, so a
token takes the same FLOPs, except for the router.

Measured with the demo for 33 steps, which both took in 50 s on a busy machine:
2,757,760 parameters, of which a token uses 988,288 (the demo: 984,192);
6.71 MFLOPs per token in training (6.68); 5.31 nats per token over steps 21 to
30 on unseen text (5.18); 1.6 times the processor time per step. The experts do
not help so early; the whole run of 450 steps was not measured.
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
