"""`wavesmith wheelhouse`: publish the wheels that this controller keeps to an object store, which then serves them to hosts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.wavesmith.provision.plugins.module_utils.terms.refusal import Refusal
from ansible_collections.wavesmith.provision.plugins.module_utils.wheels import manifest
from ansible_collections.wavesmith.provision.plugins.module_utils.wheels.wheelhouse import entries

from wavesmith import playbook

NAME = "wheelhouse"
HELP = "publish the wheels that this controller keeps to an S3 bucket, for wavesmith_wheelhouse"
KINDS = {".html": "text/html", ".json": "application/json"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = "Exit code: 0 published, 2 it cannot be. Credentials and region are those of boto3."
    parser.add_argument("bucket", metavar="s3://BUCKET[/PREFIX]", help="where to")
    parser.add_argument("--endpoint", metavar="URL", help="an S3 service of one's own [AWS_ENDPOINT_URL, Amazon's]")
    parser.add_argument(
        "--public", action="store_true", help="let everybody read what is published [the bucket's policy says who may]"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("artifacts/wheelhouse"), help="where the wheels are [artifacts/wheelhouse]"
    )


def run(arguments: argparse.Namespace) -> int:
    """Publish what is not there yet; a key that is there is never replaced."""
    url = urlsplit(arguments.bucket)
    if url.scheme != "s3" or not url.netloc:
        return playbook.refuse([Refusal(arguments.bucket, "it is no bucket", "name one: s3://wheels/house")])
    if not entries(str(arguments.folder)):
        remedy = "run playbooks/build.yml, or name the folder with --folder"
        return playbook.refuse([Refusal(str(arguments.folder), "it holds no signed wheel", remedy)])
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        return playbook.refuse([Refusal("boto3", "it is not installed", f"{sys.executable} -m pip install boto3")])
    try:
        client = boto3.client("s3", endpoint_url=arguments.endpoint)
        sent, there = push(client, url.netloc, url.path.strip("/"), arguments.folder, arguments.public)
    except (BotoCoreError, ClientError) as error:
        return playbook.refuse([Refusal(arguments.bucket, " ".join(str(error).split()), "correct it and start again")])
    print(f"{arguments.bucket}: {sent} wheels published, {there} in all")
    return playbook.DONE


def push(client: Any, bucket: str, prefix: str, folder: Path, public: bool = False) -> tuple[int, int]:
    """Bring the wheels of a folder to a bucket, and the index of all that are there then.

    Args:
        client: boto3's client for S3.
        public: Whether each object says that everybody may read it.

    Returns:
        How many were brought, and how many are there.
    """
    head = f"{prefix}/" if prefix else ""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=head)
    there = {item["Key"] for page in pages for item in page.get("Contents", ())}
    known = entries(str(folder))
    access = {"ACL": "public-read"} if public else {}
    sent = 0
    for key, entry in known.items():
        if f"{head}{key}/{manifest.SIGNATURE}" in there:
            continue
        # The signature comes last: without it a wheel is not in the index, and nobody takes it.
        for name in (*sorted(entry["files"]), manifest.MANIFEST, manifest.SIGNATURE):
            client.upload_file(str(folder / key / name), bucket, f"{head}{key}/{name}", ExtraArgs=access)
        sent += 1
    index = f"{head}{manifest.KEYS}"
    before = client.get_object(Bucket=bucket, Key=index)["Body"].read().decode() if index in there else ""
    everything = {**manifest.read_index(before), **known}
    for path, text in _addresses(manifest.pages(everything)).items():
        kind = KINDS.get(Path(path).suffix, "text/html")
        client.put_object(Bucket=bucket, Key=head + path, Body=text.encode(), ContentType=kind, **access)
    return sent, len(everything)


def _addresses(pages: Mapping[str, str]) -> dict[str, str]:
    """Each page by the address that is asked for: an object store knows no ``index.html`` of a folder."""
    return {path.removesuffix("index.html"): text for path, text in pages.items()}
