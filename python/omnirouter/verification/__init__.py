"""An independent check of what a solve claims.

Nothing here is shared with the solver: plain arrays of a `Problem` are read, sums and bounds are computed anew.
"""

from omnirouter.verification.checking import verify
from omnirouter.verification.result import Verification

__all__ = ["Verification", "verify"]
