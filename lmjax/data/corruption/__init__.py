"""The table of corruptions, which make tasks of plain rows."""
from typing import Union

from lmjax.data.corruption import denoisers
from lmjax.data.corruption import middle
from lmjax.data.corruption import noising
from lmjax.data.corruption import prefixes
from lmjax.data.corruption import spans

CORRUPTIONS = {
    'Bart': noising.Bart,
    'FillInTheMiddle': middle.FillInTheMiddle,
    'PrefixLM': prefixes.PrefixLM,
    'SpanCorruption': spans.SpanCorruption,
    'UL2': denoisers.UL2,
}
Config = Union[tuple(CORRUPTIONS.values())]
