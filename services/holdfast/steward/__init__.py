"""The work that must be done somewhere, once: relay, promote, rescue, file the dead, keep the topology."""
