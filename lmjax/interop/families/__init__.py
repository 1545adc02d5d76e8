"""The table of families, by the field `model_type` of their config.json."""
from lmjax.interop.families import llama

FAMILIES = {
    'llama': llama.FAMILY,
}
