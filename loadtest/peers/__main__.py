"""`python -m peers`: see `make peers`."""

from __future__ import annotations

import sys

from .program import main

sys.exit(main())
