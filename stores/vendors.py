"""The contract's storage vendors, as a table: where a bucket of vendor v in region r is, and how its requests are signed.

Numbers: contract §6. Endpoints: each vendor's own S3 page. An operator may replace fields of a row or add rows
(`vendor_table(overrides)`), so a wrong row needs no release.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.settings import settings
from models.vocabulary.errors import BadParameter, Internal
from models.vocabulary.spec import S3Store


class Vendor(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    #: `{region}` is the region's name; empty: the request names the endpoint.
    endpoint: str = ""
    addressing: Literal["path", "virtual"] = "virtual"
    #: s3v4: AWS Signature Version 4; s3: its predecessor (HMAC-SHA1).
    signature: Literal["s3v4", "s3"] = "s3v4"
    #: What the ETag of an object put whole is: its md5, or something that proves nothing (then Content-MD5 alone does).
    etag: Literal["md5", "opaque"] = "md5"
    #: The contract's region numbers → the name that is signed. With `any_region` the number is ignored.
    regions: dict[int, str] = Field(default_factory=dict)
    any_region: str = ""
    #: Regions whose endpoint does not follow the pattern.
    endpoints: dict[int, str] = Field(default_factory=dict)
    #: Whether our tests hold requests of this row's shape; if not, it stands on documents alone. None has met its cloud.
    tested: bool = False
    sse: bool = False
    tags: bool = False
    #: Why the vendor is not taken; empty: it is.
    refused: str = ""


class Place(BaseModel):
    """A vendor's row, applied to one address."""

    model_config = ConfigDict(frozen=True)

    vendor: Vendor
    endpoint: str  # URL without a path
    region: str
    named_by_user: bool  # the endpoint came with the request, so the address guard judges it


def _numbered(names: str, start: int = 0) -> dict[int, str]:
    return dict(enumerate(names.split(), start))


_AWS = _numbered(
    "us-east-1 us-east-2 us-west-1 us-west-2 eu-west-1 eu-west-2 eu-west-3 eu-central-1 ap-southeast-1 ap-southeast-2"
    " ap-northeast-1 ap-northeast-2 sa-east-1 ca-central-1 ap-south-1 cn-north-1 cn-northwest-1 us-gov-west-1 af-south-1"
    " ap-east-1 ap-northeast-3 eu-north-1 me-south-1 us-gov-east-1 ap-southeast-3 eu-south-1"
) | {28: "il-central-1"}
_OSS = _numbered(
    "cn-hangzhou cn-shanghai cn-qingdao cn-beijing cn-zhangjiakou cn-huhehaote cn-shenzhen cn-hongkong us-west-1 us-east-1"
    " ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-5 ap-northeast-1 ap-south-1 eu-central-1 eu-west-1"
    " me-east-1 ap-southeast-6 cn-heyuan cn-guangzhou cn-chengdu cn-nanjing cn-fuzhou cn-wulanchabu ap-northeast-2"
    " ap-southeast-7"  # 18, 26, 27: the contract's labels (EU_East_1, CN_Northeast_2, CN_Southeast_7) name no OSS region
)
_COS = _numbered(
    "ap-beijing-1 ap-beijing ap-shanghai ap-guangzhou ap-chengdu ap-chongqing ap-shenzhen-fsi ap-shanghai-fsi"
    " ap-beijing-fsi ap-hongkong ap-singapore ap-mumbai ap-seoul ap-bangkok ap-tokyo na-siliconvalley na-ashburn"
    " na-toronto eu-frankfurt eu-moscow"
)
_KS3 = _numbered("HANGZHOU SHANGHAI QINGDAO BEIJING GUANGZHOU HONGKONG JR_BEIJING JR_SHANGHAI RUSSIA SINGAPORE")
_KS3_HOSTS = _numbered(
    "kss.ksyun.com ks3-cn-shanghai.ksyuncs.com ks3-cn-qingdao.ksyuncs.com ks3-cn-beijing.ksyuncs.com"
    " ks3-cn-guangzhou.ksyuncs.com ks3-cn-hk-1.ksyuncs.com ks3-jr-beijing.ksyuncs.com ks3-jr-shanghai.ksyuncs.com"
    " ks3-rus.ksyuncs.com ks3-sgp.ksyuncs.com"
)
_OBS = _numbered(
    "cn-north-1 cn-north-4 cn-east-2 cn-east-3 cn-south-1 cn-southwest-2 ap-southeast-1 ap-southeast-2 ap-southeast-3"
    " af-south-1 sa-argentina-1 sa-peru-1 na-mexico-1 sa-brazil-1 la-south-2 sa-chile-1"
)

VENDORS: Final[Mapping[int, Vendor]] = {
    0: Vendor(
        name="Qiniu Kodo",
        endpoint="https://s3-{region}.qiniucs.com",
        addressing="path",
        regions=_numbered("cn-east-1 cn-north-1 cn-south-1 us-north-1 ap-southeast-1"),
        tested=True,
    ),
    1: Vendor(
        name="Amazon S3",
        endpoint="https://s3.{region}.amazonaws.com",
        regions=_AWS,
        endpoints={n: f"https://s3.{_AWS[n]}.amazonaws.com.cn" for n in (15, 16)},
        tested=True,
        sse=True,
        tags=True,
    ),
    2: Vendor(
        name="Alibaba Cloud OSS",
        endpoint="https://s3.oss-{region}.aliyuncs.com",  # answers path addressing with SecondLevelDomainForbidden
        signature="s3",  # the one its own boto3 page documents
        regions=_OSS,
        tested=True,
        tags=True,
    ),
    3: Vendor(name="Tencent COS", endpoint="https://cos.{region}.myqcloud.com", regions=_COS),
    4: Vendor(
        name="Kingsoft KS3",
        regions=_KS3,
        endpoints={n: f"https://{host}" for n, host in _KS3_HOSTS.items()},
    ),
    5: Vendor(name="Azure Blob", refused="Azure Blob Storage does not speak S3, and Reelyard has no store for it yet"),
    6: Vendor(
        name="Google Cloud Storage", endpoint="https://storage.googleapis.com", addressing="path", any_region="auto"
    ),
    7: Vendor(name="Huawei OBS", endpoint="https://obs.{region}.myhuaweicloud.com", regions=_OBS),
    8: Vendor(
        name="Baidu BOS", endpoint="https://s3.{region}.bcebos.com", regions=_numbered("bj bd su gz hkg sin fwh fsh")
    ),
    11: Vendor(
        name="S3-compatible",
        addressing="path",
        any_region="us-east-1",
        tested=True,
        sse=True,
        tags=True,
    ),
}


def vendor_table(overrides: Mapping[int, Mapping[str, Any]] | None = None) -> Mapping[int, Vendor]:
    """The table with an operator's changes: a row's fields replaced, or a whole new row. Raises ValueError."""
    table = dict(VENDORS)
    for number, fields in (overrides or {}).items():
        before = table[number].model_dump() if number in table else {}
        try:
            table[number] = Vendor.model_validate(before | dict(fields))
        except ValidationError as error:
            raise ValueError(f"the settings' row of vendor {number} is wrong: {error}") from error
    return table


@cache
def configured() -> Mapping[int, Vendor]:
    """The table as this farm's settings have it. Raises `Internal` when a row of theirs is wrong."""
    try:
        return vendor_table(settings().vendors)
    except ValueError as error:
        raise Internal(f"REELYARD_VENDORS: {error}") from error


def place(address: S3Store, table: Mapping[int, Vendor] = VENDORS) -> Place:
    """Where a bucket is. Raises `BadParameter` naming the field of storageConfig that is wrong."""
    vendor = table.get(address.vendor)
    if vendor is None:
        known = ", ".join(str(n) for n in sorted(table))
        raise BadParameter(f"storageConfig.vendor: {address.vendor} is none of {known}")
    if vendor.refused:
        raise BadParameter(f"storageConfig.vendor: {vendor.refused}")
    region = vendor.any_region or vendor.regions.get(address.region)
    if not region:
        raise BadParameter(f"storageConfig.region: {vendor.name} has no region {address.region}")
    pattern = vendor.endpoints.get(address.region) or vendor.endpoint
    if pattern:
        return Place(vendor=vendor, endpoint=pattern.format(region=region), region=region, named_by_user=False)
    return Place(vendor=vendor, endpoint=endpoint_url(address.endpoint), region=region, named_by_user=True)


def endpoint_url(endpoint: str) -> str:
    """`host[:port]`, or that behind http:// or https://, as a URL; https when it does not say."""
    field = "storageConfig.extensionParams.endpoint"
    if not endpoint:
        raise BadParameter(f"{field} is missing: this vendor needs one")
    url = endpoint if "://" in endpoint else f"https://{endpoint}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadParameter(f"{field} is no host") from error
    bare = not (parts.username or parts.password or parts.query or parts.fragment or parts.path.strip("/"))
    legal = all(c.isalnum() or c in ".-_:" for c in host or "")
    if len(url) > 300 or not host or not legal or not bare or parts.scheme not in ("http", "https"):
        raise BadParameter(f"{field} must be host, host:port, or http(s)://host:port")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port else "")
