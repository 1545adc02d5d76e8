"""Small models of every family, by its room and its module's name."""
from tests.reference.families import decoders
from tests.reference.families import encoders
from tests.reference.families import experts
from tests.reference.families import llamas
from tests.reference.families import pairs

ROOMS = {
    'decoders': decoders.FAMILIES,
    'encoders': encoders.FAMILIES,
    'experts': experts.FAMILIES,
    'llamas': llamas.FAMILIES,
    'pairs': pairs.FAMILIES,
}
FAMILIES = {name: family for room in ROOMS.values()
            for name, family in room.items()}
