r"""The Penn Treebank as words: a 5-gram with modified Kneser-Ney smoothing.

  python experiments/pretrain.py --workdir=runs/ptb_kn5 --config=ptb_kn5 \
      --config.data.source.paths=ptb.train.txt \
      --config.data.split.valid_source.paths=ptb.valid.txt \
      --config.data.split.test_source.paths=ptb.test.txt
  python experiments/evaluate.py --workdir=runs/ptb_kn5 --config.split=test

The files are Mikolov's: one sentence per line, 10,000 words, others as <unk>.
Each line is a document, so that no context crosses its end, as in SRILM and
KenLM. On the canonical text this config gives a test perplexity of 141.19;
--config.model.smoothing.kind=KneserNey, with one discount per order, 143.51. Published: 141.2 (Mikolov, Statistical Language
Models Based on Neural Networks, 2012, table 4.1), there called Kneser-Ney; the
figure is the one of the modified form.
"""
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import words
from lmjax.evaluation import scoring
from lmjax import experiment
from lmjax.models.counted import ngram


def _lines(path):
  return sources.TextFiles(paths=(path,), split_on='line')


def get_config():
  return experiment.Count(
      data=pipeline.DataConfig(
          source=_lines('ptb.train.txt'),
          split=splits.Separate(
              valid_source=_lines('ptb.valid.txt'),
              test_source=_lines('ptb.test.txt')),
          tokenizer=words.Words(max_size=10_000, bos=True, eos=True)),
      model=ngram.NgramConfig(order=5),
      scoring=scoring.Scoring(context=128, stride=64))
