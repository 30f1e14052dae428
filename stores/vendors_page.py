"""docs/reference/vendors.md, generated from the table: `python -m stores.vendors_page > docs/reference/vendors.md`."""

from __future__ import annotations

import sys

from stores.vendors import VENDORS, Vendor

HEAD = """\
# Storage vendors

What `storageConfig.vendor` may be, and how each is spoken to. This page is generated: `python -m stores.vendors_page > docs/reference/vendors.md`.

No vendor's cloud has been met by the tests. *Held by tests*: requests of the row's shape are captured and compared, and accepted by an S3 server where it knows the signature. *Untested*: the row stands on the vendor's documents
alone; a recording into it says so in its warnings.

A wrong row needs no release: `REELYARD_VENDORS` replaces fields of a row or adds one, for example `{"3": {"addressing": "path"}, "40": {"name": "ours", "endpoint": "https://s3.{region}.example.org", "regions": {"0": "north"}}}`.

| vendor | name | endpoint | addressing | signature | ETag proves | regions | |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


def page() -> str:
    return HEAD + "".join(_row(number, vendor) for number, vendor in sorted(VENDORS.items()))


def _row(number: int, vendor: Vendor) -> str:
    if vendor.refused:
        return f"| {number} | {vendor.name} | – | – | – | – | – | refused: {vendor.refused} |\n"
    endpoint = vendor.endpoint or ("one each region" if vendor.endpoints else "`extensionParams.endpoint`")
    regions = str(len(vendor.regions)) if vendor.regions else "ignored"
    extras = [name for name, has in (("SSE", vendor.sse), ("tags", vendor.tags)) if has]
    state = ", ".join(["held by tests" if vendor.tested else "untested", *extras])
    proof = {"md5": "the bytes", "opaque": "nothing: Content-MD5 alone"}[vendor.etag]
    shown = f"`{endpoint}`" if "//" in endpoint else endpoint
    return f"| {number} | {vendor.name} | {shown} | {vendor.addressing} | {vendor.signature} | {proof} | {regions} | {state} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
