r"""Trains a tokenizer on the training split of a corpus and reports on it.

  python experiments/train_tokenizer.py --output=runs/tokenizer \
      --config.source.kind=TextFiles --config.source.paths='data/*.txt' \
      --config.tokenizer.vocab_size=8000 --config.tokenizer.model=bpe

`data.tokenizers.tokenizer.load` reads the folder. Its file `tokenizer.model` is
a SentencePiece model, which --config.data.tokenizer.path accepts.
"""
from collections.abc import Sequence
import dataclasses
import itertools
import pathlib

from absl import flags

from lmjax.core import cli
from lmjax.core import errors
from lmjax.data import pipeline
from lmjax.data import text as text_lib
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data import tokenizers
from lmjax.data.tokenizers import subwords
from lmjax.data.tokenizers import tokenizer as tokenizer_lib


@dataclasses.dataclass(frozen=True)
class TrainTokenizer:
  """The tokenizer to train, and the text to train it on.

  Attributes:
    source: Where text comes from.
    split: What is held out from training; None trains on all text.
    tokenizer: The tokenizer to train.
  """
  source: text_lib.Config = sources.Embedded()
  split: splits.Config | None = splits.HashSplit()
  tokenizer: tokenizers.Config = subwords.SentencePiece()


def train_tokenizer(
    config: TrainTokenizer,
    output: str | pathlib.Path) -> tokenizer_lib.Tokenizer:
  """Builds the tokenizer, saves it in the folder `output` and returns it."""
  if (pathlib.Path(output) / 'tokenizer.json').exists():
    raise errors.InputError(
        f'{str(output)!r} holds a tokenizer already; choose another --output.')
  data = pipeline.DataConfig(
      source=config.source, split=config.split, tokenizer=config.tokenizer)
  tokenizer = data.build_tokenizer()
  tokenizer.save(output)
  return tokenizer


def report(config: TrainTokenizer, tokenizer: tokenizer_lib.Tokenizer,
           limit: int = 1000) -> str:
  """Returns a report: bytes per token, and the first tokens of a document."""
  data = pipeline.DataConfig(source=config.source, split=config.split)
  name = 'train' if data.part('valid') is None else 'valid'
  texts = list(itertools.islice(data.part(name).documents(), limit))
  encoded = [tokenizer.encode(text) for text in texts]
  num_bytes = sum(len(text.encode()) for text in texts)
  num_tokens = sum(len(ids) for ids in encoded)
  exact = sum(tokenizer.decode(ids) == text
              for ids, text in zip(encoded, texts))
  pieces = [tokenizer.decode([token]) for token in encoded[0][:24]]
  return '\n'.join([
      f'{name}: {num_bytes / num_tokens:.3f} bytes a token over {len(texts)} '
      f'documents, {exact} of which decode to exactly their text',
      f'begins: {"|".join(pieces)!r}'])


def main(argv: Sequence[str]) -> None:
  """Trains the tokenizer of the flags."""
  del argv
  config = _CONFIG()
  if flags.FLAGS.output is None:
    raise errors.InputError('Give a folder to write to: --output=FOLDER.')
  tokenizer = train_tokenizer(config, flags.FLAGS.output)
  print(tokenizer.describe())
  print(report(config, tokenizer))
  print(f'written to {flags.FLAGS.output}, digest {tokenizer.digest[:12]}')


if __name__ == '__main__':
  cli.path_flag('output', None, 'Folder to write the tokenizer to.')
  _CONFIG = cli.config_flag(TrainTokenizer, TrainTokenizer())
  cli.run(main)
