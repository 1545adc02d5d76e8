"""The table of families, by the field `model_type` of their config.json."""
from lmjax.interop.families.decoders import bloom
from lmjax.interop.families.decoders import falcon
from lmjax.interop.families.decoders import gpt2
from lmjax.interop.families.decoders import gpt_neo
from lmjax.interop.families.decoders import gpt_neox
from lmjax.interop.families.decoders import gptj
from lmjax.interop.families.decoders import opt
from lmjax.interop.families.decoders import phi
from lmjax.interop.families.encoders import albert
from lmjax.interop.families.encoders import bert
from lmjax.interop.families.encoders import distilbert
from lmjax.interop.families.encoders import electra
from lmjax.interop.families.encoders import modernbert
from lmjax.interop.families.encoders import mpnet
from lmjax.interop.families.encoders import roberta
from lmjax.interop.families.encoders import xlnet
from lmjax.interop.families.experts import mixtral
from lmjax.interop.families.experts import olmoe
from lmjax.interop.families.experts import qwen3_moe
from lmjax.interop.families.llamas import cohere
from lmjax.interop.families.llamas import gemma
from lmjax.interop.families.llamas import gemma2
from lmjax.interop.families.llamas import gemma3
from lmjax.interop.families.llamas import granite
from lmjax.interop.families.llamas import llama
from lmjax.interop.families.llamas import mistral
from lmjax.interop.families.llamas import olmo
from lmjax.interop.families.llamas import olmo2
from lmjax.interop.families.llamas import phi3
from lmjax.interop.families.llamas import qwen2
from lmjax.interop.families.llamas import qwen3
from lmjax.interop.families.llamas import smollm3
from lmjax.interop.families.llamas import stablelm
from lmjax.interop.families.pairs import bart
from lmjax.interop.families.pairs import marian
from lmjax.interop.families.pairs import mbart
from lmjax.interop.families.pairs import pegasus
from lmjax.interop.families.pairs import t5

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
    'mbart': mbart.FAMILY,
    'mistral': mistral.FAMILY,
    'mixtral': mixtral.FAMILY,
    'modernbert': modernbert.FAMILY,
    'mpnet': mpnet.FAMILY,
    'mt5': t5.FAMILY,
    'olmo': olmo.FAMILY,
    'olmo2': olmo2.FAMILY,
    'olmoe': olmoe.FAMILY,
    'opt': opt.FAMILY,
    'pegasus': pegasus.FAMILY,
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
