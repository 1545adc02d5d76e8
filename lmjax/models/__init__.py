"""Model families by name; each is a config that builds its module."""
from lmjax.models.counted import hmm
from lmjax.models.counted import ngram
from lmjax.models import decoder
from lmjax.models import electra
from lmjax.models import encoder
from lmjax.models import encoder_decoder
from lmjax.models import lstm
from lmjax.models import multi_token
from lmjax.models import xlnet

MODELS = {
    'decoder': decoder.DecoderConfig,
    'electra': electra.ElectraConfig,
    'encoder': encoder.EncoderConfig,
    'encoder_decoder': encoder_decoder.EncoderDecoderConfig,
    'hmm': hmm.HmmConfig,
    'multi_token': multi_token.MultiTokenConfig,
    'ngram': ngram.NgramConfig,
    'recurrent': lstm.RecurrentConfig,
    'xlnet': xlnet.XLNetConfig,
}
