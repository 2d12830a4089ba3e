"""`python -m standin.server PORT`: the stand-in on loopback, until it is ended."""

from __future__ import annotations

import os
import sys

os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"  # read when moto is imported

from moto.server import main

from standin import gaps

if __name__ == "__main__":
    assert gaps.__all__, "importing the gaps fills them"
    main(["-H", "127.0.0.1", "-p", sys.argv[1]])
