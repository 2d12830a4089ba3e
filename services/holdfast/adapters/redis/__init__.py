"""Redis: what the whole pool shares and can afford to lose."""
