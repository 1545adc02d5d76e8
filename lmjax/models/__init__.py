"""Model families by name; each one is a config that builds a module."""
from typing import Union

from lmjax.models import bag_of_ngrams
from lmjax.models import decoder
from lmjax.models import electra
from lmjax.models import encoder
from lmjax.models import encoder_decoder
from lmjax.models import lstm
from lmjax.models import multi_token
from lmjax.models import text_cnn
from lmjax.models import xlnet

MODELS = {
    'BagOfNgramsConfig': bag_of_ngrams.BagOfNgramsConfig,
    'DecoderConfig': decoder.DecoderConfig,
    'ElectraConfig': electra.ElectraConfig,
    'EncoderConfig': encoder.EncoderConfig,
    'EncoderDecoderConfig': encoder_decoder.EncoderDecoderConfig,
    'MultiTokenConfig': multi_token.MultiTokenConfig,
    'RecurrentConfig': lstm.RecurrentConfig,
    'TextCNNConfig': text_cnn.TextCNNConfig,
    'XLNetConfig': xlnet.XLNetConfig,
}
Config = Union[tuple(MODELS.values())]
