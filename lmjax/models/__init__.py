"""Model families by name; each is a config that builds its module."""
from lmjax.models import decoder

MODELS = {
    'decoder': decoder.DecoderConfig,
}
