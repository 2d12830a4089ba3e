"""`python -m pictures`: see `make bench-image`."""

from __future__ import annotations

import sys

from .program import main

sys.exit(main())
