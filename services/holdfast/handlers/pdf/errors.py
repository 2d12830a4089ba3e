"""Every way in which a document is refused. All are final: the same document would be refused again.

Rejected
├── HtmlTooLarge        the HTML, as given or as the template made it
├── TemplateInvalid     the template cannot be read
├── TemplateUndefined   the template uses what the data does not have
├── TemplateFailed      the template fell over while it was filled in (or tried what it may not)
├── AssetRefused        with `require_assets`: an asset is at an address that is never read
└── LayoutFailed        WeasyPrint cannot lay the document out
"""

from __future__ import annotations

from holdfast.domain.errors import Rejected


class HtmlTooLarge(Rejected):
    """The HTML is larger than its cap."""


class TemplateInvalid(Rejected):
    """The template has an error of syntax."""


class TemplateUndefined(Rejected):
    """The template uses a variable that the data does not have."""


class TemplateFailed(Rejected):
    """The template raised an error, or reached for something that the sandbox keeps from it."""


class AssetRefused(Rejected):
    """The document requires an asset from an address that is never read (a file, or relative to nothing)."""


class LayoutFailed(Rejected):
    """The document cannot be laid out."""
