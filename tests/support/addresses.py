"""What the page's address says."""

from urllib.parse import parse_qsl, urlsplit


def wait_for_settings(page, **expected):
    """Wait until the address has these settings, in any order; None for those that must not be in it."""

    def has_them(url):
        query = dict(parse_qsl(urlsplit(url).query))
        return all(query.get(name) == text for name, text in expected.items())

    page.wait_for_url(has_them)
