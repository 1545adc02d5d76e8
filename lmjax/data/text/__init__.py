"""The table of sources of text, configs that yield documents."""
from typing import Union

from lmjax.data.synthetic import LANGUAGES
from lmjax.data.text import sources
from lmjax.data.text import tables
from lmjax.data.text import tfds

SOURCES = {
    'Delimited': tables.Delimited,
    'Embedded': sources.Embedded,
    'InMemory': sources.InMemory,
    'JsonLines': sources.JsonLines,
    'TextFiles': sources.TextFiles,
    'Tfds': tfds.Tfds,
    **LANGUAGES,
}
Config = Union[tuple(SOURCES.values())]
