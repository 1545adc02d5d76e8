"""Model families by name; each is a config that builds its module."""
from lmjax.models import decoder
from lmjax.models import encoder
from lmjax.models import encoder_decoder
from lmjax.models import lstm

MODELS = {
    'decoder': decoder.DecoderConfig,
    'encoder': encoder.EncoderConfig,
    'encoder_decoder': encoder_decoder.EncoderDecoderConfig,
    'recurrent': lstm.RecurrentConfig,
}
