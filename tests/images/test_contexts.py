"""What the Dockerfiles, contexts, images.lock and the compose file must be, without a Docker engine."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from images import build, environment, start
from images.context import IMAGES, ROOT, ContextError, Image, context_digest, context_files, write_context
from steps.core.signing import PUBLIC_KEYS, SIGNING_KEY, signer

ARGUMENTS = {"TORCH": "cpu"}
DOCKERFILES = sorted(ROOT.glob("images/*/Dockerfile"))
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


def instructions(path: Path) -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, continued lines joined, comments gone."""
    lines = [
        line for line in path.read_text(encoding="utf-8").split("\n") if not line.lstrip().startswith("#")
    ]
    joined = "\n".join(lines).replace("\\\n", " ")
    pairs = (line.strip().partition(" ") for line in joined.split("\n") if line.strip())
    return [(word, rest.strip()) for word, _, rest in pairs]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_builds_from_base_image_runs_as_nobody_special_and_installs_with_hashes(path: Path) -> None:
    found = instructions(path)
    stages = [rest.split()[2] for word, rest in found if word == "FROM" and " AS " in rest]
    bases = [rest.split()[0] for word, rest in found if word == "FROM"]
    assert set(bases) <= {"${BASE_IMAGE}", *stages}
    parent = {rest.split()[2]: rest.split()[0] for word, rest in found if word == "FROM" and " AS " in rest}
    last = parent.get(bases[-1], bases[-1])
    assert last == "${BASE_IMAGE}", "the last stage must not carry compilers and site settings"
    default = next(rest for word, rest in found if word == "ARG" and rest.startswith("BASE_IMAGE="))
    assert re.fullmatch(r"BASE_IMAGE=[\w./-]+:[\w.]+-\d{8}-slim", default), "a dated tag, not a floating one"
    users = [rest for word, rest in found if word == "USER"]
    assert users and users[-1] not in ("root", "0")
    last_stage = found[max(n for n, (word, _) in enumerate(found) if word == "FROM") :]
    assert not any(word in ("ADD", "ENTRYPOINT") or "--mount" in rest for word, rest in found)
    assert not any("pip install" in rest or "/site" in rest for _, rest in last_stage)
    for _, rest in found:
        assert "pip install" not in rest or "--require-hashes" in rest


def test_the_first_stage_is_the_same_in_every_image_so_that_it_is_built_once() -> None:
    texts = {IMAGES[name].dockerfile: "" for name in ("airflow", "factory", "services", "trainer")}
    for name in texts:
        texts[name] = (
            (ROOT / name)
            .read_text(encoding="utf-8")
            .partition("ARG BASE_IMAGE")[2]
            .partition("FROM tools")[0]
        )
    assert len(set(texts.values())) == 1 and "uv.txt" in next(iter(texts.values()))


@pytest.mark.parametrize("image", IMAGES.values(), ids=lambda image: image.name)
def test_what_a_dockerfile_copies_is_in_the_context(image: Image) -> None:
    names = {*context_files(image), "images/site/README.md"}
    for word, rest in instructions(ROOT / image.dockerfile):
        if word != "COPY" or rest.startswith("--from="):
            continue
        for source in rest.split()[:-1]:
            found = source in names or any(name.startswith(source) for name in names if source.endswith("/"))
            assert found, f"{image.dockerfile} copies {source}, which images/context.py does not send"


def test_no_context_carries_caches_secrets_or_tests() -> None:
    for image in IMAGES.values():
        for name in context_files(image):
            assert not re.search(
                r"(^|/)(\.env|\.git|\.tokenmill|\.venv|__pycache__|tests)(/|$)|\.pyc$", name
            ), name


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files of one image, to change."""
    for name, path in context_files(IMAGES["factory"]).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / name)
    return tmp_path


def test_the_digest_changes_with_content_names_modes_and_arguments_and_with_nothing_else(
    checkout: Path,
) -> None:
    factory, trainer = IMAGES["factory"], IMAGES["trainer"]
    digests = [context_digest(factory, ARGUMENTS, checkout)]
    assert digests[0] == context_digest(factory, ARGUMENTS), "a copy elsewhere has the same digest"

    (checkout / "steps" / "__pycache__").mkdir()
    (checkout / "steps" / "__pycache__" / "x.pyc").write_bytes(b"\0")
    (checkout / "images" / "site").mkdir()
    (checkout / "images" / "site" / "uv.toml").write_text("# a site's own")
    (checkout / "steps" / "__init__.py").touch()
    assert context_digest(factory, {"TORCH": "cuda"}, checkout) == digests[0]

    for change in (
        lambda: (checkout / "steps" / "added.py").write_text(""),
        lambda: (checkout / "steps" / "added.py").write_text("x = 1\n"),
        lambda: (checkout / "steps" / "added.py").chmod(0o755),
        lambda: (checkout / "steps" / "added.py").rename(checkout / "steps" / "renamed.py"),
        lambda: (checkout / factory.dockerfile).write_text("FROM scratch"),
    ):
        change()
        digests.append(context_digest(factory, ARGUMENTS, checkout))
    assert len(set(digests)) == len(digests)
    assert context_digest(trainer, {"TORCH": "cpu"}) != context_digest(trainer, {"TORCH": "cuda"})


def test_a_missing_file_is_named(checkout: Path) -> None:
    (checkout / "requirements" / "factory.txt").unlink()
    with pytest.raises(ContextError, match=r"image factory needs requirements/factory\.txt"):
        context_digest(IMAGES["factory"], ARGUMENTS, checkout)


def test_the_context_is_the_same_tar_from_any_checkout(checkout: Path) -> None:
    shutil.copytree(
        ROOT / "images" / "site", checkout / "images" / "site", ignore=shutil.ignore_patterns("wheels")
    )
    first, second = io.BytesIO(), io.BytesIO()
    write_context(IMAGES["factory"], first, checkout)
    for path in checkout.rglob("*.py"):
        path.touch()
    write_context(IMAGES["factory"], second, checkout)
    assert first.getvalue() == second.getvalue()
    first.seek(0)
    with tarfile.open(fileobj=first) as archive:
        names = set(archive.getnames())
    assert {"images/factory/Dockerfile", "images/site/README.md", "steps/core/cli.py"} <= names


def test_the_lock_pins_the_four_images_in_the_form_that_the_operator_reads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from plugins.image_lock import locked_image

    entries = json.loads((ROOT / "images" / "images.lock").read_text(encoding="utf-8"))["images"]
    assert sorted(entries) == sorted(name for name, image in IMAGES.items() if image.pinned)
    for name, entry in entries.items():
        assert re.fullmatch(r"[0-9a-f]{64}", entry["context"])
        assert entry["tag"] == f"tokenmill/{name}:{entry['context'][:12]}"
    monkeypatch.setattr(build, "LOCK", tmp_path / "images.lock")
    digest = context_digest(IMAGES["factory"], ARGUMENTS)
    build.write_lock({"factory": {"tag": build.tag_of(IMAGES["factory"], digest), "context": digest}})
    monkeypatch.setenv("TOKENMILL_IMAGES_LOCK", str(tmp_path / "images.lock"))
    locked = locked_image("factory")
    assert (locked.context, locked.reference) == (digest, f"tokenmill/factory:{digest[:12]}")
    assert build.stale(["factory"], ARGUMENTS) == []
    build.write_lock({"factory": {"tag": "tokenmill/factory:0", "context": "0" * 64}})
    (line,) = build.stale(["factory"], ARGUMENTS)
    assert line == f"factory: images.lock pins 000000000000, the sources are {digest[:12]}"


def test_passwords_are_made_once_and_kept_and_only_the_owner_can_read_them(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# mine\nS3_PORT=9000\nPOSTGRES_PASSWORD=chosen\nAIRFLOW_IMAGE=old\n")
    first = environment.update({"AIRFLOW_IMAGE": "tokenmill/airflow:1"}, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [first[name] for name in ("POSTGRES_PASSWORD", "S3_PORT")] == ["chosen", "9000"]
    assert first["AIRFLOW_IMAGE"] == "tokenmill/airflow:1"
    assert path.read_text().startswith("# mine\nS3_PORT=9000\n")
    second = environment.update({"AIRFLOW_IMAGE": "tokenmill/airflow:2"}, path)
    assert {**second, "AIRFLOW_IMAGE": ""} == {**first, "AIRFLOW_IMAGE": ""}
    made = [second[name] for name in environment.GENERATED if name != "POSTGRES_PASSWORD"]
    assert len(set(made)) == len(made) and all(len(value) >= 20 for value in made)
    other = environment.update({}, tmp_path / "other.env")
    assert not {second[name] for name in environment.GENERATED} & {
        other[name] for name in environment.GENERATED
    }


def test_compose_publishes_loopback_only_and_only_the_scheduler_holds_the_docker_socket() -> None:
    for name, service in COMPOSE["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} publishes {port}"
        holds = any("docker.sock" in str(volume) for volume in service.get("volumes", []))
        assert holds == (name == "airflow-scheduler")
        assert "healthcheck" in service or name == "airflow-init"
        assert "no-new-privileges:true" in service["security_opt"]


def test_the_key_that_signs_is_with_the_review_page_and_the_scheduler_alone_and_made_once(
    tmp_path: Path,
) -> None:
    holders = {name for name, service in COMPOSE["services"].items() if SIGNING_KEY in service["environment"]}
    assert holders == {"airflow-api", "airflow-scheduler"}
    assert COMPOSE["services"]["airflow-api"]["environment"].keys() >= {"AIRFLOW_CONN_TOKENMILL_S3"}, (
        "the review page reads samples"
    )
    first = environment.update({}, tmp_path / ".env")
    assert environment.update({}, tmp_path / ".env") == first
    own = signer(first)
    assert own is not None and first[PUBLIC_KEYS] == own.public.text


def test_compose_has_no_default_for_any_secret_and_knows_every_generated_one() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    used = dict(re.findall(r"\$\{([A-Z0-9_]+)((?::?[-?][^}]*)?)\}", text))
    for name in (
        *environment.GENERATED,
        SIGNING_KEY,
        PUBLIC_KEYS,
        "AIRFLOW_IMAGE",
        "SERVICES_IMAGE",
        "DOCKER_GID",
    ):
        assert used[name] == ":?run make images", name
    assert set(used) - set(environment.GENERATED) >= {
        "S3_PORT",
        "MLFLOW_PORT",
        "AIRFLOW_PORT",
        "POSTGRES_IMAGE",
    }
    for image in re.findall(r"_IMAGE:-([^}]+)}", text):
        assert re.search(r":\d+\.\d+", image), f"{image} is a floating tag"


def test_images_of_older_sources_are_named_with_the_command_that_removes_them() -> None:
    """Neither what the sources call for, nor images of others, are in it."""
    ours = [
        SimpleNamespace(id="sha256:1", tags=["tokenmill/factory:new"], attrs={"Size": 1_200_000_000}),
        SimpleNamespace(id="sha256:2", tags=["tokenmill/factory:old"], attrs={"Size": 1_100_000_000}),
        SimpleNamespace(
            id="sha256:3", tags=[], attrs={"Size": 2_000_000_000}
        ),  # its tag went to a later build
    ]
    asked: list[dict[str, str]] = []

    def listed(filters: dict[str, str]) -> list[SimpleNamespace]:
        asked.append(filters)
        return ours

    engine = SimpleNamespace(images=SimpleNamespace(list=listed))
    said = build.left_behind(engine, {"tokenmill/factory:new", "tokenmill/trainer:new"})
    assert said.startswith("2 images of other sources are on this engine, 3.1 GB")
    assert "docker image rm sha256:3 tokenmill/factory:old; docker image prune --force" in said
    assert asked == [{"label": build.LABEL}]
    del ours[2:]
    said = build.left_behind(engine, {"tokenmill/factory:new"})
    assert said.startswith("1 image of other sources is on this engine, 1.1 GB")
    del ours[1:]
    assert build.left_behind(engine, {"tokenmill/factory:new"}) == ""


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="needs docker-compose")
def test_compose_refuses_to_start_without_its_settings(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    command = ["docker-compose", "--project-directory", str(tmp_path), "config", "--quiet"]
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    refused = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert refused.returncode != 0 and "run make images" in refused.stderr
    images = {"AIRFLOW_IMAGE": "a:1", "SERVICES_IMAGE": "s:1"}
    environment.update(images, tmp_path / ".env")
    accepted = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert accepted.returncode == 0, accepted.stderr


def test_the_pools_that_init_makes_have_slots_and_a_description() -> None:
    for name, pool in json.loads(start.POOLS.read_text(encoding="utf-8")).items():
        assert pool["slots"] > 0 and pool["description"], name


def test_start_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert start.main(["answers", "http://127.0.0.1"]) == start.EXIT_USAGE
    assert "answers URL STATUS" in capsys.readouterr().err
    assert start.main([]) == start.EXIT_USAGE
