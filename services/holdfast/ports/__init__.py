"""What the engine needs from the outside, as small protocols that promise something. Adapters keep the promises."""
