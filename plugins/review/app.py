"""The review page's server: a FastAPI application that Airflow's api-server mounts under /review.

Everything in it, the page too, needs an Airflow user who may answer the DAG's human tasks. The page lives in Airflow's
own origin, so that crawled text must never become markup: it leaves here as JSON, the page sets it as text, and the
policy forbids every script but the page's own. Requests that change something carry a header that no foreign page can
send.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from plugins.review.desk import GUIDELINE_VERSION, Answer, Desk, Document, Refused, open_sample
from steps.core.errors import StepError

DAG = "data_factory"
STATIC = Path(__file__).parent / "static"
FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "guideline.zh.txt": "text/plain",
    "guideline.en.txt": "text/plain",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
}
MARK = "tokenmill"  # the value of the header X-Review
log = logging.getLogger(__name__)
_opening = threading.Lock()

may_review = requires_access_dag("PUT", DagAccessEntity.HITL_DETAIL, DAG)


def of_its_reader(user: GetUserDep, x_reader: Annotated[str, Header()] = "") -> None:
    """Refuse a page whose reader is no longer the one who is logged in: the answers that wait there are theirs."""
    if x_reader and (opened := unquote(x_reader)) != user.get_name():
        raise HTTPException(
            409, f"{opened} opened this page, and {user.get_name()} is logged in: load it again."
        )


app = FastAPI(
    title="review",
    dependencies=[Depends(may_review), Depends(of_its_reader)],
    openapi_url=None,
    docs_url=None,
    redoc_url=None,
)


class Which(BaseModel):
    """A sample by its reference, ``evaluate/<fingerprint>@<digest>``."""

    model_config = ConfigDict(extra="forbid")
    sample: str = Field(max_length=400)


class Wanted(Which):
    """The next document, or one that readers differ about."""

    adjudicate: bool = False


class Given(Wanted):
    """An answer to one document of a sample; the next one comes back with the same request."""

    answer: Answer


def from_our_page(x_review: Annotated[str, Header()] = "") -> None:
    """Refuse what another site makes a browser send: it cannot set this header without being asked (CORS)."""
    if x_review != MARK:
        raise HTTPException(403, "requests that change something come from the review page")


@app.middleware("http")
async def with_headers(request: Request, call_next: Any) -> Response:
    """Every answer forbids foreign scripts, frames and caches."""
    response: Response = await call_next(request)
    response.headers.update(HEADERS)
    return response


@app.exception_handler(StepError)
def step_error(request: Request, error: StepError) -> JSONResponse:
    """A store that is away or a sample that is none: the message, for the person."""
    log.warning("review: %s", error)
    return JSONResponse({"detail": str(error)}, 503 if error.exit_code == 69 else 400)


@app.exception_handler(Refused)
def refused(request: Request, error: Refused) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 422)


@functools.cache
def _store() -> Any:
    """The artifact root, opened once with the credentials of Airflow's connection."""
    from plugins.connections import s3_in_environment
    from steps.core.store import open_store

    with s3_in_environment():
        store = open_store(os.environ["TOKENMILL_ROOT"])
        store.probe()  # makes the client while the credentials are there
    return store


@functools.lru_cache(maxsize=4)
def _open_desk(ref: str) -> Desk:
    return Desk(open_sample(ref, _store()))


def desk(ref: str) -> Desk:
    """The queue of a sample; a sample's texts are held in memory for the last few that were read.

    One at a time: requests that opened the store together would undo each other's environment, and two queues of one
    sample would not know what the other was answered.
    """
    with _opening:
        return _open_desk(ref)


@app.get("/")
def page() -> FileResponse:
    return FileResponse(STATIC / "page.html", media_type="text/html; charset=utf-8")


@app.get("/static/{name}")
def static(name: str) -> FileResponse:
    if name not in FILES:
        raise HTTPException(404, "no such file")
    return FileResponse(STATIC / name, media_type=f"{FILES[name]}; charset=utf-8")


@app.get("/api/state")
def state(user: GetUserDep, sample: Annotated[str, Query(max_length=400)]) -> dict[str, Any]:
    """Who is reading, what there is to choose, and how far all have come."""
    from steps.core.labels import DEFECTS

    queue, name = desk(sample), user.get_name()
    return {
        "user": name,
        "guideline": GUIDELINE_VERSION,
        "defects": list(DEFECTS),
        "progress": queue.progress(name),
        "sample": queue.sample.reference.folder,
    }


@app.post("/api/next", dependencies=[Depends(from_our_page)])
def next_document(user: GetUserDep, wanted: Wanted) -> dict[str, Any]:
    """The document to read now, or none."""
    queue, name = desk(wanted.sample), user.get_name()
    document = queue.next(name, wanted.adjudicate)
    return {"document": _shown(queue, document, name) if document else None, "progress": queue.progress(name)}


@app.post("/api/answer", dependencies=[Depends(from_our_page)])
def answer(user: GetUserDep, given: Given) -> dict[str, Any]:
    """Keep an answer, say what the automatic readers said, and give the next document."""
    queue, name = desk(given.sample), user.get_name()
    label = queue.answer(name, given.answer)
    document = queue.next(name, given.adjudicate)
    return {
        "hints": list(queue.hints(label.sample_id, name) or ()),
        "document": _shown(queue, document, name) if document else None,
        "progress": queue.progress(name),
    }


@app.get("/api/mine")
def mine(user: GetUserDep, sample: Annotated[str, Query(max_length=400)]) -> list[dict[str, Any]]:
    """What this person answered, oldest first."""
    fields = {"sample_id", "label", "defects", "answered_at", "role"}
    return [label.model_dump(mode="json", include=fields) for label in desk(sample).mine(user.get_name())]


@app.get("/api/answered")
def answered(
    user: GetUserDep,
    sample: Annotated[str, Query(max_length=400)],
    sample_id: Annotated[str, Query(max_length=64)],
) -> dict[str, Any]:
    """A document that this person answered, with the answer, to correct it."""
    queue, name = desk(sample), user.get_name()
    given = next((label for label in queue.mine(name) if label.sample_id == sample_id), None)
    if given is None:
        raise HTTPException(404, "you have not answered this document")
    shown = _shown(queue, queue.documents[sample_id], name)
    fields = {"label", "defects", "start", "end"}
    return {"document": shown, "answer": given.model_dump(mode="json", include=fields)}


def _shown(queue: Desk, document: Document, reader: str) -> dict[str, Any]:
    """A document as the page gets it: no stratum, no hint whether it was seeded or is read twice."""
    others = [
        {"label": label.label, "defects": list(label.defects), "start": label.start, "end": label.end}
        for label in queue.others(document.sample_id, reader)
    ]
    return {
        "sample_id": document.sample_id,
        "doc_sha256": document.doc_sha256,
        "source": document.source,
        "language": document.language,
        "url": document.url,
        "text": document.text,
        "others": others,
    }
