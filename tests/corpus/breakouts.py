"""Documents and templates that reach out: to local files, to the network, to the interpreter.

Each is the payload of a `pdf.render` job. `FILE` in it stands for the folder of a file that holds `SECRET`, `WEB` for a
server that nobody may dial.
"""

# ruff: noqa: E501 (one attack a line)

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from corpus.case import SUCCEEDED, TIMED_OUT, Case, document

SECRET = "QlZ8xTopSecret"
FILE, WEB = "FILE/secret.txt", "http://WEB"


def cases() -> Iterator[Case]:
    """Every document that reaches out."""
    yield from _local_files()
    yield from _requests()
    yield from _templates()


def _local_files() -> Iterator[Case]:
    ways = {
        "image": '<img src="file://{file}">',
        "image by a bare path": '<img src="{file}">',
        "image in capitals": '<img src="FILE://{file}">',
        "image with a host": '<img src="file://localhost{file}">',
        "image behind a view-source": '<img src="view-source:file://{file}">',
        "image from a jar": '<img src="jar:file://{file}!/x">',
        "source set": '<img srcset="file://{file} 2x">',
        "base element": '<base href="file://{file}"><img src="secret.txt">',
        "style sheet": '<link rel="stylesheet" href="file://{file}">',
        "import": '<style>@import "file://{file}";</style>',
        "import in an attribute": "<p style=\"background: url('file://{file}')\">x",
        "list marker": '<ul style="list-style-image: url(file://{file})"><li>x</ul>',
        "generated content": "<style>p::before {{ content: url(file://{file}) }}</style><p>x",
        "border image": '<p style="border: 9px solid; border-image: url(file://{file}) 9">x',
        "mask": '<p style="mask-image: url(file://{file})">x',
        "cursor": '<p style="cursor: url(file://{file}), auto">x',
        "font": "<style>@font-face {{ font-family: f; src: url(file://{file}) }} p {{ font-family: f }}</style><p>x",
        "local font by its path": "<style>@font-face {{ font-family: f; src: local('{file}') }} p {{ font-family: f }}</style><p>x",
        "colour profile of the page": "<style>@color-profile --c {{ src: url(file://{file}) }} p {{ color: color(--c 1 0 0) }}</style><p>x",
        "attachment": '<link rel="attachment" href="file://{file}">',
        "attachment anchored": '<a rel="attachment" href="file://{file}">x</a>',
        "object": '<object data="file://{file}"></object>',
        "embed": '<embed src="file://{file}">',
        "frame": '<iframe src="file://{file}"></iframe>',
        "svg image": '<svg width="9" height="9"><image href="file://{file}" width="9" height="9"/></svg>',
        "svg use": '<svg width="9" height="9"><use href="file://{file}#a"/></svg>',
        "svg image with an entity": '<img src="data:image/svg+xml,%3C!DOCTYPE svg [%3C!ENTITY x SYSTEM %22file://{file}%22%3E]%3E%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 width=%2299%22 height=%2299%22%3E%3Ctext y=%229%22%3E%26x;%3C/text%3E%3C/svg%3E">',
        "svg style sheet": '<img src="data:image/svg+xml,%3C?xml-stylesheet href=%22file://{file}%22?%3E%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 width=%229%22 height=%229%22/%3E">',
        "hyphenation dictionary": "<p lang='../../../../{file}' style='hyphens: auto'>hyphenation",
        "metadata": '<meta name="dcterms.created" content="file://{file}"><link rel="license" href="file://{file}">',
    }  # fmt: skip

    def case(name: str, outcome: str, **payload: Any) -> Case:
        return document("document that asks for a local file", name, outcome, **payload)

    for name, html in ways.items():
        outcome = "LayoutFailed" if name == "colour profile of the page" else SUCCEEDED
        yield case(name, outcome, html=html.format(file=FILE))
    yield case("base of the job", "InvalidPayload", html="x", base_url=f"file://{FILE}")
    yield case("page of the job", "InvalidPayload", url=f"file://{FILE}")
    yield case("header of the page", SUCCEEDED, html="x", header=f'<img src="file://{FILE}">')
    yield case("required picture", "AssetRefused", html=f'<img src="file://{FILE}">', require_assets=True)


def _requests() -> Iterator[Case]:
    """Everything that makes a browser send a request; here either nothing is sent, or the guard sees it first."""
    ways = {
        "image": '<img src="{web}/">',
        "style sheet": '<link rel="stylesheet" href="{web}/">',
        "style sheets that import each other": '<link rel="stylesheet" href="{web}/chain/0.css">',
        "prefetch": '<link rel="prefetch" href="{web}/"><link rel="dns-prefetch" href="{web}/"><link rel="preconnect" href="{web}/">',
        "preload": '<link rel="preload" as="image" href="{web}/"><link rel="modulepreload" href="{web}/">',
        "icon and manifest": '<link rel="icon" href="{web}/"><link rel="manifest" href="{web}/">',
        "script": '<script src="{web}/"></script>',
        "web socket": '<script>new WebSocket("ws://WEB/")</script>',
        "beacon and fetch": '<script>navigator.sendBeacon("{web}/"); fetch("{web}/")</script>',
        "refresh": '<meta http-equiv="refresh" content="0;url={web}/">',
        "frame": '<iframe src="{web}/"></iframe><frameset><frame src="{web}/"></frameset>',
        "object and embed": '<object data="{web}/"></object><embed src="{web}/">',
        "video, audio and track": '<video src="{web}/" poster="{web}/"><track src="{web}/"></video><audio src="{web}/">',
        "form": '<form action="{web}/" method="post"><input type="image" src="{web}/"></form>',
        "ping": '<a href="x" ping="{web}/">x</a>',
        "base": '<base href="{web}/"><img src="a.png"><link rel="stylesheet" href="b.css">',
        "scheme without a slash": '<img src="http:WEB/">',
        "protocol-relative": '<img src="//WEB/">',
        "ftp, gopher and dict": '<img src="ftp://WEB/"><img src="gopher://WEB/"><img src="dict://WEB/">',
        "backgrounds, cursors, masks and shapes": '<p style="background:url({web}/1);cursor:url({web}/2);mask:url({web}/3);shape-outside:url({web}/4);filter:url({web}/5);clip-path:url({web}/6)">x',
        "font": "<style>@font-face {{ font-family: f; src: url({web}/) }} p {{ font-family: f }}</style><p>x",
        "svg": '<svg width="9" height="9"><image href="{web}/1" width="9" height="9"/><use href="{web}/2#x"/><rect fill="url({web}/3#x)"/></svg>',
        "attachment": '<a rel="attachment" href="{web}/">x</a>',
        "300 pictures": "".join(f'<img src="{{web}}/{number}">' for number in range(300)),
    }  # fmt: skip

    def case(name: str, outcome: str, **payload: Any) -> Case:
        return document("document that sends requests", name, outcome, **payload)

    for name, html in ways.items():
        yield case(name, SUCCEEDED, html=html.format(web=WEB))
    yield case("required picture inside", "Forbidden", html=f'<img src="{WEB}/">', require_assets=True)
    yield case("page inside", "Forbidden", url=f"{WEB}/")


def _templates() -> Iterator[Case]:
    def case(name: str, outcome: str, template: str, **data: Any) -> Case:
        return document("template that breaks out or never ends", name, outcome, template=template, data=data)

    yield case("class of a string", "TemplateFailed", "{{ ''.__class__.__mro__[1].__subclasses__() }}")
    yield case("class by filter", "TemplateFailed", "{{ '' | attr('__class__') }}")
    yield case("class by map", SUCCEEDED, "{{ [''] | map(attribute='__class__') | list }}")
    yield case("globals of cycler", "TemplateFailed", "{{ cycler.__init__.__globals__.os.popen('id').read() }}")
    yield case("globals of lipsum", "TemplateFailed", "{{ lipsum.__globals__['os'].popen('id').read() }}")
    yield case("self", "TemplateFailed", "{{ self._TemplateReference__context }}")
    yield case("format of a string", "TemplateFailed", "{{ '{0.__class__.__init__.__globals__}'.format(x) }}", x=1)
    yield case("format_map of a string", "TemplateFailed", "{{ '{a.__class__}'.format_map({'a': 1}) }}")
    yield case("format by filter", "TemplateFailed", "{{ '%s' | format(x.__class__) }}", x=1)
    yield case("format taken aside", "TemplateFailed", "{% set f = '{0.__class__.__mro__}'.format %}{{ f(1) }}")
    yield case("xmlattr key", "TemplateFailed", "{{ {'a onload=x': 1} | xmlattr }}")
    yield case("import", "TemplateFailed", "{% import '/etc/passwd' as x %}{{ x }}")
    yield case("include", "TemplateFailed", "{% include '../../etc/passwd' %}")
    yield case("extends", "TemplateFailed", "{% extends '/etc/passwd' %}")
    yield case("changing the data", "TemplateFailed", "{{ xs.append(1) }}", xs=[])
    yield case("escaping", SUCCEEDED, "<p>{{ x }}", x='<img src="file:///etc/passwd">')
    yield case("unescaped by safe", SUCCEEDED, "<p>{{ x | safe }}", x='<img src="file:///etc/passwd">')
    yield case("range of a billion", "TemplateFailed", "{% for x in range(10**9) %}{% endfor %}")
    yield case(
        "ranges in ranges", TIMED_OUT, "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    )
    yield case("power tower", SUCCEEDED, "{{ 9 ** 9 ** 9 }}")
    yield case("power of a power", TIMED_OUT, "{{ ((10 ** 8999) ** 9999) ** 99 > 1 }}")
    yield case("string times 10⁸", SUCCEEDED, "{{ ('x' * 10 ** 8) | length }}")
    yield case("list times 10⁹", "MemoryLimit", "{{ ([0] * 10 ** 9) | length }}")
    yield case(
        "string that doubles",
        "MemoryLimit",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s | length }}",
    )
    yield case("padding of 10⁸", SUCCEEDED, "{{ '%100000000d' | format(1) | length }}")
    yield case("centre of 10⁸", SUCCEEDED, "{{ 'x' | center(10 ** 8) | length }}")
    yield case("indent of 10⁹", "MemoryLimit", "{{ 'a\nb' | indent(10 ** 9) | length }}")
    yield case("macro that calls itself", "TemplateFailed", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")
    yield case("recursive loop", "TemplateFailed", "{% for x in xs recursive %}{{ loop(xs) }}{% endfor %}", xs=[1])
    yield case("nested blocks past all bounds", "TemplateFailed", "{% if 1 %}" * 5_000 + "{% endif %}" * 5_000)
    yield case("nested brackets past all bounds", "TemplateFailed", "{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}")
    yield case("nested filters past all bounds", "TemplateFailed", "{{ x" + " | string" * 20_000 + " }}", x=1)
    yield case("a regular expression that backtracks", SUCCEEDED, "{{ x | urlize }}", x="http://" + "(" * 5_000)
    yield case("words that wrap", SUCCEEDED, "{{ x | wordwrap(1) | length }}", x="a " * 50_000)
    yield case("striptags of an unclosed comment", SUCCEEDED, "{{ x | striptags | length }}", x="<!--" * 100_000)
    yield case("output of 3 MiB", "HtmlTooLarge", "{{ 'x' * 3000000 }}")
    yield case("output drop by drop", "HtmlTooLarge", "{% for x in range(99999) %}{{ 'x' * 99 }}{% endfor %}")
