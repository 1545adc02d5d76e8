"""Every named size of a model, in one table."""
from lmjax.models import xlnet
from lmjax.models.presets import decoders
from lmjax.models.presets import encoder_decoders
from lmjax.models.presets import encoders

PRESETS = {
    **encoders.PRESETS,
    **encoder_decoders.PRESETS,
    **xlnet.PRESETS,
    **decoders.PRESETS,
}
