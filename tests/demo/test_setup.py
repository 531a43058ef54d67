"""The set-up: locks that agree and name no place, pip's settings handed to uv, nothing done twice."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from demo import lmplz, setup

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def pins(name: str) -> set[str]:
    """The pins of a lock with their markers, without hashes."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return {line.rstrip("\\ ") for line in text.split("\n") if re.match(r"[a-z0-9._-]+(\[.*\])?==", line)}


@pytest.mark.parametrize("name", setup.LOCKS)
def test_each_lock_is_a_part_of_the_whole(name: str) -> None:
    names = {pin.split("==")[0]: pin.split(" ;")[0] for pin in pins("all") if " ;" not in pin}
    for pin in pins(name):
        bare = pin.split(" ;")[0]
        assert pin in pins("all") or names.get(bare.split("==")[0]) == bare, pin


def test_the_whole_is_no_more_than_the_parts() -> None:
    parts = set().union(*(pins(name) for name in setup.LOCKS))
    assert {pin.split("==")[0] for pin in pins("all")} == {pin.split("==")[0] for pin in parts}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_lock_names_no_index_and_no_path(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert not re.search(r"://|--index|--extra|--find-links|-r |-c ", text)
    assert not re.search(r"(^|\s)/", text)


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if lock.stem != "torch"], ids=lambda path: path.stem)
def test_every_pin_has_a_hash(lock: Path) -> None:
    entries = re.split(r"\n(?=[a-z0-9])", lock.read_text(encoding="utf-8"))[1:]
    assert entries
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_torch_and_cuda_are_in_no_lock() -> None:
    assert [pin for pin in pins("all") if re.match(r"(torch|triton|nvidia-|cuda-)", pin)] == []
    assert setup.torch_pin() == "torch==2.13.0"


def test_pip_settings_become_uv_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS", "UV_INDEX_STRATEGY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_INSECURE_HOST", "chosen.example")
    pip = {
        "index-url": "https://mirror.example/simple",
        "extra-index-url": "https://one.example/simple\nhttps://two.example/simple",
        "find-links": "/wheels /more",
        "cert": "/etc/site.pem",
        "trusted-host": "other.example",
    }
    assert setup.uv_environment(pip) == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": "https://one.example/simple https://two.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/wheels,/more",
        "SSL_CERT_FILE": "/etc/site.pem",
    }


def test_pip_configuration_prefers_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = https://a.example\nfind-links =\n    /one\n    /two\n"
        "[install]\nindex-url = https://b.example\n",
        encoding="utf-8",
    )
    for name in ("PIP_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    found = setup.pip_configuration()
    assert found["index-url"] == "https://b.example"
    assert found["find-links"].split() == ["/one", "/two"]
    monkeypatch.setenv("PIP_INDEX_URL", "https://c.example")
    assert setup.pip_configuration()["index-url"] == "https://c.example"


def test_cpu_torch_is_sought_at_the_site_first_and_without_cuda() -> None:
    here, mirror, last = setup.torch_sources(
        "cpu", {"find-links": "/wheels", "index-url": "https://m.example"}
    )
    assert "--no-index" in here and here[-1] == "torch==2.13.0+cpu"
    assert mirror == ["--no-deps", "torch==2.13.0+cpu"]
    assert last == ["--no-deps", "--torch-backend", "cpu", "torch==2.13.0"]
    assert setup.torch_sources("cpu", {}) == [last]


def test_cuda_torch_brings_its_libraries() -> None:
    for source in setup.torch_sources("cuda", {"find-links": "/wheels"}):
        assert "--no-deps" not in source and source[-1] == "torch==2.13.0"


def test_an_unknown_torch_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH", "rocm")
    with pytest.raises(setup.SetupError, match="TORCH is 'rocm': set it to cpu or cuda") as raised:
        setup.choose_torch()
    assert raised.value.code == 78


def test_without_a_setting_the_installed_torch_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCH", raising=False)
    monkeypatch.setattr(setup, "has_gpu", lambda: True)
    assert setup.choose_torch("cpu") == "cpu"
    assert setup.choose_torch(None) == "cuda"
    monkeypatch.setenv("TORCH", "cpu")
    assert setup.choose_torch("cuda") == "cpu"


def test_a_changed_lock_makes_the_stamp_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "all.txt").write_text("a==1\n", encoding="utf-8")
    monkeypatch.setattr(setup, "REQUIREMENTS", tmp_path)
    before = setup.wanted("cpu")
    assert setup.wanted("cpu") == before != setup.wanted("cuda")
    (tmp_path / "all.txt").write_text("a==2\n", encoding="utf-8")
    assert setup.wanted("cpu") != before


def test_a_finished_setup_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCH", raising=False)
    stamp = setup.read_stamp()
    if not setup.is_ready(setup.choose_torch(stamp.get("torch")), stamp):
        pytest.skip("this environment was not made by `make setup` from these locks")
    done = subprocess.run([sys.executable, "-m", "demo.setup"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_kenlm_is_taken_from_the_lock_without_its_marker(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(
        "jinja2==3 \\\n    --hash=sha256:00\n"
        "kenlm==0.3.0 ; python_full_version < '3.13' \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "lxml==1 \\\n    --hash=sha256:cc\n",
        encoding="utf-8",
    )
    assert lmplz.requirement(lock) == "kenlm==0.3.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb"


def test_another_sdist_than_the_locked_one_is_refused(tmp_path: Path) -> None:
    sdist = tmp_path / "kenlm-0.3.0.tar.gz"
    sdist.write_bytes(b"not kenlm")
    with pytest.raises(lmplz.BuildError, match=hashlib.sha256(b"not kenlm").hexdigest()):
        lmplz.check(sdist, lmplz.LOCK)


def test_lmplz_trains_a_model_that_kenlm_reads(tmp_path: Path) -> None:
    if not lmplz.is_built():
        pytest.skip("lmplz is not built: make setup")
    kenlm = pytest.importorskip("kenlm")
    text = "".join(f"the cat sat on mat number {i % 7} with {i % 11} dogs\n" for i in range(2000))
    trained = subprocess.run(
        [lmplz.PREFIX / "bin" / "lmplz", "-o", "5", "--discount_fallback", "-S", "64M", "-T", tmp_path],
        input=text.encode(),
        capture_output=True,
        env={},  # neither LD_LIBRARY_PATH nor PATH is needed
    )
    assert trained.returncode == 0, trained.stderr.decode()
    (tmp_path / "toy.arpa").write_bytes(trained.stdout)
    build = [lmplz.PREFIX / "bin" / "build_binary", tmp_path / "toy.arpa", tmp_path / "toy.bin"]
    assert subprocess.run(build, capture_output=True, env={}).returncode == 0
    model = kenlm.Model(str(tmp_path / "toy.bin"))
    assert model.order == 5
    assert model.score("the cat sat on mat") > model.score("mat on sat cat the")
