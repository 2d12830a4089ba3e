"""The use cases, each the table of contents of one thing that Holdfast does. They know ports and the domain only."""
