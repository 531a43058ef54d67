"""The object store: S3 or a local directory behind one small interface.

Two conditional writes carry the commit protocol (CONTRACT §2): `create` (only if absent) and `replace`
(only if unchanged). Keys are relative to the store's root, so that no bucket or path enters an identity.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from steps.core.errors import CredentialError, DataError, ServiceError, StorageFullError, UsageError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
_BLOCK = 8 << 20
_WRITES = ("PutObject", "UploadPart", "CreateMultipartUpload", "CompleteMultipartUpload")


@dataclass(frozen=True)
class ObjectInfo:
    """What a store knows about one object: key, size in bytes, entity tag."""

    key: str
    size: int
    etag: str


class ObjectMissing(DataError):
    """No object of that key is in the store."""


class Store(ABC):
    """Objects by key under one root. Errors are StepErrors that name the object."""

    uri: str

    @abstractmethod
    def get(self, key: str) -> bytes:
        """The whole object. Raises ObjectMissing."""

    @abstractmethod
    def get_with_etag(self, key: str) -> tuple[bytes, str]:
        """The whole object and the entity tag it had when read. Raises ObjectMissing."""

    @abstractmethod
    def get_range(self, key: str, start: int, length: int) -> bytes:
        """``length`` bytes from ``start``; shorter at the object's end."""

    @abstractmethod
    def open(self, key: str) -> BinaryIO:
        """A stream over the object, for reading once from the start. Raises ObjectMissing."""

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Write an object whose content its key names (overwriting is harmless)."""

    @abstractmethod
    def put_file(self, key: str, path: Path) -> None:
        """`put` of a file's content."""

    def move_file(self, key: str, path: Path) -> None:
        """`put_file` of a file that is then gone from ``path``: on one disk it need not be copied."""
        self.put_file(key, path)
        path.unlink()

    @abstractmethod
    def create(self, key: str, data: bytes) -> bool:
        """Write only if no such object exists; False if one does."""

    @abstractmethod
    def replace(self, key: str, data: bytes, etag: str | None) -> bool:
        """Write only if the object still has ``etag`` (None: does not exist); False otherwise."""

    @abstractmethod
    def head(self, key: str) -> ObjectInfo | None:
        """The object's size and entity tag, or None where there is none."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key starts with ``prefix``, sorted by key."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove the object, if it is there."""

    def download(self, key: str, path: Path) -> None:
        """Stream the object into ``path``."""
        with self.open(key) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target, _BLOCK)

    def probe(self) -> None:
        """Check that the store keeps both conditional writes; raises UsageError if it ignores one."""
        key = f"probe/{uuid.uuid4().hex}"
        try:
            created, again = self.create(key, b"1"), self.create(key, b"2")
            stale = self.replace(key, b"3", "0" * 32)
            _, etag = self.get_with_etag(key)
            fresh = self.replace(key, b"4", etag)
        finally:
            self.delete(key)
        if (created, again, stale, fresh) != (True, False, False, True):
            raise UsageError(
                f"store {self.uri} ignores conditional writes (If-None-Match, If-Match): "
                "commits would not be safe; use a store that keeps them"
            )


def open_store(uri: str) -> Store:
    """The store at ``s3://bucket[/prefix]`` or ``file:///directory``. Raises UsageError for another scheme."""
    scheme, _, place = uri.partition("://")  # no urlsplit: "#" and "?" are parts of paths and keys
    scheme = scheme.lower()
    if scheme == "file" and place.startswith("/"):
        return FileStore(Path(place))
    bucket, _, prefix = place.partition("/")
    if scheme == "s3" and bucket:
        return S3Store(bucket, prefix.strip("/"))
    raise UsageError(f"store {uri!r} is neither s3://bucket/prefix nor file:///directory")


@contextlib.contextmanager
def keys_in_environment(keys: Mapping[str, str]) -> Iterator[None]:
    """Stores opened inside the block find these AWS_* variables; after it the environment is as it was before."""
    before = {name: os.environ.get(name) for name in keys}
    os.environ.update(keys)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def check_key(key: str) -> str:
    """``key`` itself, if it is a plain relative path. Raises DataError for one that could leave the root."""
    if not key or key.startswith("/") or any(part in ("", ".", "..") for part in key.split("/")):
        raise DataError(f"object key {key!r} is not a plain relative path")
    return key


class FileStore(Store):
    """Objects as files of a local directory; entity tags are content digests."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = f"file://{root}"

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def get(self, key: str) -> bytes:
        with _file_errors(key), self._path(key).open("rb") as file:
            return file.read()

    def get_with_etag(self, key: str) -> tuple[bytes, str]:
        data = self.get(key)
        return data, hashlib.md5(data, usedforsecurity=False).hexdigest()

    def get_range(self, key: str, start: int, length: int) -> bytes:
        with _file_errors(key), self._path(key).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def open(self, key: str) -> BinaryIO:
        with _file_errors(key):
            return self._path(key).open("rb")

    def download(self, key: str, path: Path) -> None:
        """Another name for the object's file, which never changes, where both are on one disk; else a copy."""
        path.unlink(missing_ok=True)
        try:
            os.link(self._path(key), path)
        except OSError:
            super().download(key, path)

    def put(self, key: str, data: bytes) -> None:
        with self._temporary(key) as (temporary, target):
            temporary.write_bytes(data)
            temporary.replace(target)

    def put_file(self, key: str, path: Path) -> None:
        with self._temporary(key) as (temporary, target):
            shutil.copyfile(path, temporary)
            temporary.replace(target)

    def move_file(self, key: str, path: Path) -> None:
        with self._temporary(key) as (_, target):
            try:
                path.replace(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                super().move_file(key, path)

    def create(self, key: str, data: bytes) -> bool:
        with self._temporary(key) as (temporary, target):
            temporary.write_bytes(data)
            try:
                os.link(temporary, target)  # fails if the target exists: the exclusive commit
            except FileExistsError:
                return False
        return True

    def replace(self, key: str, data: bytes, etag: str | None) -> bool:
        if etag is None:
            return self.create(key, data)
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f".{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                current = self.get_with_etag(key)[1]
            except ObjectMissing:
                return False
            if current != etag:
                return False
            self.put(key, data)
        return True

    def head(self, key: str) -> ObjectInfo | None:
        path = self._path(key)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return None
        with path.open("rb") as file:
            return ObjectInfo(key, size, hashlib.file_digest(file, _md5).hexdigest())

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        base = self.root / prefix.rsplit("/", 1)[0] if "/" in prefix else self.root
        found = []
        for directory, _, names in os.walk(base, onerror=_unreadable):
            for name in names:
                path = Path(directory, name)
                key = path.relative_to(self.root).as_posix()
                if not key.startswith(prefix) or name.startswith("."):
                    continue
                try:
                    found.append((key, path.stat().st_size))
                except FileNotFoundError:
                    if path.is_symlink():  # else it was deleted just now
                        raise ObjectMissing(f"object {path} is a link that leads nowhere") from None
        for key, size in sorted(found):
            yield ObjectInfo(key, size, "")

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _temporary(self, key: str) -> Iterator[tuple[Path, Path]]:
        target = self._path(key)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
        with _file_errors(key):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield temporary, target
            finally:
                temporary.unlink(missing_ok=True)


def _unreadable(error: OSError) -> None:
    """Of a folder that cannot be listed nothing may be passed over; one that is not there is empty."""
    if isinstance(error, PermissionError):
        raise CredentialError(f"folder {error.filename}: permission denied") from None
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise ServiceError(f"folder {error.filename}: {error.strerror}") from None


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


@contextlib.contextmanager
def _file_errors(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ObjectMissing(f"object {key} is not in the store") from None
    except PermissionError as error:
        raise CredentialError(f"object {key}: permission denied ({error.filename})") from None
    except OSError as error:
        if error.errno in DISK_FULL:
            raise StorageFullError(f"object {key}: {error.strerror}; make room and retry") from None
        raise ServiceError(f"object {key}: {error}") from None


class S3Store(Store):
    """Objects of an S3 bucket. Endpoint, region and keys come from the AWS_* environment variables."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self.bucket, self.prefix = bucket, prefix
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self._client: Any = None

    @property
    def client(self) -> Any:
        """The boto3 client, made at first use (importing boto3 takes half a second)."""
        if self._client is None:
            import boto3
            from botocore.config import Config

            # a session of its own: boto3's default one keeps the credentials of its first use
            self._client = boto3.session.Session().client(
                "s3",
                region_name=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),
                config=Config(
                    retries={"mode": "standard", "max_attempts": 5},
                    s3={"addressing_style": "path"} if os.environ.get("AWS_ENDPOINT_URL") else {},
                    # S3-compatible servers differ in trailing checksums; our sha256 covers every object anyway
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                    connect_timeout=10,
                    read_timeout=120,
                ),
            )
        return self._client

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_client": None}

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{check_key(key)}".lstrip("/")

    def get(self, key: str) -> bytes:
        return self.get_with_etag(key)[0]

    def get_with_etag(self, key: str) -> tuple[bytes, str]:
        with self._errors(key):
            answer = self.client.get_object(Bucket=self.bucket, Key=self._key(key))
            return answer["Body"].read(), answer["ETag"].strip('"')

    def get_range(self, key: str, start: int, length: int) -> bytes:
        if length <= 0:
            return b""
        with self._errors(key):
            answer = self.client.get_object(
                Bucket=self.bucket, Key=self._key(key), Range=f"bytes={start}-{start + length - 1}"
            )
            return bytes(answer["Body"].read())

    def open(self, key: str) -> BinaryIO:
        with self._errors(key):
            body: IO[bytes] = self.client.get_object(Bucket=self.bucket, Key=self._key(key))["Body"]
            return body  # type: ignore[return-value]

    def put(self, key: str, data: bytes) -> None:
        with self._errors(key):
            self.client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data)

    def put_file(self, key: str, path: Path) -> None:
        with self._errors(key):
            self.client.upload_file(str(path), self.bucket, self._key(key))

    def create(self, key: str, data: bytes) -> bool:
        return self._conditional(key, data, {"IfNoneMatch": "*"})

    def replace(self, key: str, data: bytes, etag: str | None) -> bool:
        return self._conditional(key, data, {"IfMatch": f'"{etag}"'}) if etag else self.create(key, data)

    def _conditional(self, key: str, data: bytes, condition: dict[str, str]) -> bool:
        from botocore.exceptions import ClientError

        with self._errors(key):
            try:
                self.client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data, **condition)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412):
                    return False
                raise
        return True

    def head(self, key: str) -> ObjectInfo | None:
        try:
            with self._errors(key):
                answer = self.client.head_object(Bucket=self.bucket, Key=self._key(key))
        except ObjectMissing:
            return None
        return ObjectInfo(key, answer["ContentLength"], answer["ETag"].strip('"'))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        cut = len(self.prefix) + 1 if self.prefix else 0
        full = f"{self.prefix}/{prefix}".lstrip("/")
        with self._errors(prefix):
            for page in self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=full
            ):
                for item in page.get("Contents", []):
                    if item["Key"].endswith("/") and not item["Size"]:
                        continue  # what consoles make where a folder is created
                    yield ObjectInfo(item["Key"][cut:], item["Size"], item["ETag"].strip('"'))

    def delete(self, key: str) -> None:
        with self._errors(key):
            self.client.delete_object(Bucket=self.bucket, Key=self._key(key))

    @contextlib.contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Turn botocore's errors into one line with the right exit code; never shows a credential."""
        from boto3.exceptions import S3UploadFailedError
        from botocore import exceptions as boto

        where = f"{self.uri}/{key}"
        try:
            yield
        except boto.ClientError as error:
            raise _client_error(where, error) from None
        except S3UploadFailedError as error:
            cause = error.__context__
            if isinstance(cause, boto.ClientError):
                raise _client_error(where, cause) from None
            raise ServiceError(f"{where}: upload failed") from None
        except (boto.NoCredentialsError, boto.PartialCredentialsError):
            raise CredentialError(
                f"{where}: no S3 credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from None
        except (boto.HTTPClientError, boto.BotoCoreError) as error:
            raise ServiceError(f"{where}: the S3 endpoint does not answer ({type(error).__name__})") from None


def _client_error(where: str, error: Any) -> Exception:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in ("NoSuchKey", "404", "NotFound"):
        return ObjectMissing(f"object {where} is not in the store")
    if code == "NoSuchBucket":
        return UsageError(f"{where}: the bucket does not exist; create it or correct the root")
    if status in (401, 403):
        return CredentialError(f"{where}: the store refused the credentials ({code or status})")
    if status == 507 or code in (
        "QuotaExceeded",
        "InsufficientStorage",
        "XMinioStorageFull",
        "EntityTooLarge",
    ):
        return StorageFullError(f"{where}: the bucket is full ({code or status}); make room and retry")
    if code == "InternalError" and error.operation_name in _WRITES:
        return ServiceError(
            f"{where}: the store answered InternalError to a write, which is all that SeaweedFS says when its disk is "
            "full: make room there, or see the store's own log"
        )
    if status >= 500 or status == 429 or code == "SlowDown":
        return ServiceError(f"{where}: the store answered {code or status}")
    return DataError(f"{where}: the store answered {code or status}")
