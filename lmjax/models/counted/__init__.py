"""Count-based models by name; each one is a config that is fitted to tokens.
"""
from typing import Union

from lmjax.models.counted import hmm
from lmjax.models.counted import imported
from lmjax.models.counted import ngram

COUNTED = {
    'HmmConfig': hmm.HmmConfig,
    'Imported': imported.Imported,
    'NgramConfig': ngram.NgramConfig,
}
Config = Union[tuple(COUNTED.values())]
