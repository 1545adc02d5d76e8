"""The table of families, by the field `model_type` of their config.json."""
from lmjax.interop.families import albert
from lmjax.interop.families import bart
from lmjax.interop.families import bert
from lmjax.interop.families import bloom
from lmjax.interop.families import cohere
from lmjax.interop.families import distilbert
from lmjax.interop.families import electra
from lmjax.interop.families import falcon
from lmjax.interop.families import gemma
from lmjax.interop.families import gemma2
from lmjax.interop.families import gemma3
from lmjax.interop.families import gpt2
from lmjax.interop.families import gpt_neo
from lmjax.interop.families import gpt_neox
from lmjax.interop.families import gptj
from lmjax.interop.families import granite
from lmjax.interop.families import llama
from lmjax.interop.families import marian
from lmjax.interop.families import mistral
from lmjax.interop.families import mixtral
from lmjax.interop.families import modernbert
from lmjax.interop.families import mpnet
from lmjax.interop.families import olmo
from lmjax.interop.families import olmo2
from lmjax.interop.families import olmoe
from lmjax.interop.families import opt
from lmjax.interop.families import phi
from lmjax.interop.families import phi3
from lmjax.interop.families import qwen2
from lmjax.interop.families import qwen3
from lmjax.interop.families import qwen3_moe
from lmjax.interop.families import roberta
from lmjax.interop.families import smollm3
from lmjax.interop.families import stablelm
from lmjax.interop.families import t5
from lmjax.interop.families import xlnet

FAMILIES = {
    'albert': albert.FAMILY,
    'bart': bart.FAMILY,
    'bert': bert.FAMILY,
    'bloom': bloom.FAMILY,
    'camembert': roberta.FAMILY,
    'cohere': cohere.FAMILY,
    'distilbert': distilbert.FAMILY,
    'electra': electra.FAMILY,
    'falcon': falcon.FAMILY,
    'gemma': gemma.FAMILY,
    'gemma2': gemma2.FAMILY,
    'gemma3': gemma3.FAMILY,
    'gemma3_text': gemma3.FAMILY,
    'gpt2': gpt2.FAMILY,
    'gpt_neo': gpt_neo.FAMILY,
    'gpt_neox': gpt_neox.FAMILY,
    'gptj': gptj.FAMILY,
    'granite': granite.FAMILY,
    'llama': llama.FAMILY,
    'marian': marian.FAMILY,
    'mistral': mistral.FAMILY,
    'mixtral': mixtral.FAMILY,
    'modernbert': modernbert.FAMILY,
    'mpnet': mpnet.FAMILY,
    'mt5': t5.FAMILY,
    'olmo': olmo.FAMILY,
    'olmo2': olmo2.FAMILY,
    'olmoe': olmoe.FAMILY,
    'opt': opt.FAMILY,
    'phi': phi.FAMILY,
    'phi3': phi3.FAMILY,
    'qwen2': qwen2.FAMILY,
    'qwen3': qwen3.FAMILY,
    'qwen3_moe': qwen3_moe.FAMILY,
    'roberta': roberta.FAMILY,
    'smollm3': smollm3.FAMILY,
    'stablelm': stablelm.FAMILY,
    't5': t5.FAMILY,
    'xlm-roberta': roberta.FAMILY,
    'xlnet': xlnet.FAMILY,
}
