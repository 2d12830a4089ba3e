"""Claims that a program makes about what it has just done, each found true or not."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Checks:
    """Claims, each found true or not."""

    held: int = 0
    failed: list[str] = field(default_factory=list)

    def expect(self, claim: str, seen: object, wanted: object) -> bool:
        """Note whether `seen` is what the claim wants; print it at once."""
        holds = seen == wanted
        print(f"  {'ok  ' if holds else 'FAIL'} {claim}" + ("" if holds else f": expected {wanted!r}, saw {seen!r}"))
        if holds:
            self.held += 1
        else:
            self.failed.append(claim)
        return holds

    def verdict(self) -> int:
        """Say how it went; the exit code."""
        if not self.failed:
            print(f"\nAll {self.held} checks held.")
            return 0
        print(f"\n{len(self.failed)} of {self.held + len(self.failed)} checks failed:")
        for claim in self.failed:
            print(f"  - {claim}")
        return 1
