"""Every named size of a model, in one table; each family has its file."""
from lmjax.models.presets import decoders
from lmjax.models.presets import encoder_decoders
from lmjax.models.presets import encoders
from lmjax.models.presets import xlnets

PRESETS = {
    **decoders.PRESETS,
    **encoder_decoders.PRESETS,
    **encoders.PRESETS,
    **xlnets.PRESETS,
}
