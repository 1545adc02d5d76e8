"""A table of all named model sizes; each family has its own file."""
from lmjax.models.presets import branch_norm_decoders
from lmjax.models.presets import decoders
from lmjax.models.presets import encoder_decoders
from lmjax.models.presets import encoders
from lmjax.models.presets import parallel_decoders
from lmjax.models.presets import xlnets

PRESETS = {
    **decoders.PRESETS,
    **parallel_decoders.PRESETS,
    **branch_norm_decoders.PRESETS,
    **encoder_decoders.PRESETS,
    **encoders.PRESETS,
    **xlnets.PRESETS,
}
