"""The table of tokenizers, configs that are built on text."""
from typing import Union

from lmjax.data.tokenizers import byte_bpe
from lmjax.data.tokenizers import pretrained
from lmjax.data.tokenizers import subwords
from lmjax.data.tokenizers import symbols
from lmjax.data.tokenizers import words

TOKENIZERS = {
    'ByteBPE': byte_bpe.ByteBPE,
    'Bytes': symbols.Bytes,
    'Characters': symbols.Characters,
    'PretrainedTokenizer': pretrained.PretrainedTokenizer,
    'SentencePiece': subwords.SentencePiece,
    'Words': words.Words,
}
Config = Union[tuple(TOKENIZERS.values())]
