"""Named sizes of XLNet (Yang et al., 1906.08237), and a toy size.

`vocab_size` is the published tokenizer's size; None means the size of the run's
tokenizer.
"""
from lmjax.models import xlnet

PRESETS: dict[str, xlnet.XLNetConfig] = {
    'tiny_xlnet': xlnet.XLNetConfig(),
    'xlnet_base': xlnet.XLNetConfig(
        vocab_size=32000, context=512, width=768, num_layers=12, num_heads=12,
        hidden=3072, dropout=0.1, types=True),
    'xlnet_large': xlnet.XLNetConfig(
        vocab_size=32000, context=512, width=1024, num_layers=24, num_heads=16,
        hidden=4096, dropout=0.1, types=True),
}
