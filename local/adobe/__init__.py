"""Adobe's stand-in: a real HTTP server with the imaging API's contract, for local runs and tests.

Its masks and fills are real computations (a small segmentation network, PatchMatch), and not Adobe's quality:
it finds what stands out, but does not recognise what it is. Start it with ``python -m local.adobe`` or as
:class:`local.adobe.stand_in.StandIn`.
"""

from local.adobe.settings import Settings
from local.adobe.stand_in import StandIn

__all__ = ["Settings", "StandIn"]
