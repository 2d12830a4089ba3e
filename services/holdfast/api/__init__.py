"""HTTP: one module for each resource. Requests are checked here and handed to the engine; nothing is decided here."""
