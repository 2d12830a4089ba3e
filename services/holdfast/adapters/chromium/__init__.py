"""Chromium behind `ports.browser.Browser`.

`browser` keeps one warm, `process` starts and ends it, `supervisor` stands between the two, `flags` says what it may
not do, `devtools` talks to it, and `printing` is one page's way through it. Nothing is imported here, so that a
supervisor starts in the time that Python itself takes.
"""
