"""A Hub on this machine: the endpoints that huggingface_hub asks when files are published and fetched, and faults."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_loopback"


@dataclass
class Repository:
    """Files of each commit, what branches point at, and who may read."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False

    def commit(self, changes: dict[str, bytes], branch: str = "main") -> str:
        files = {**self.commits.get(self.branches.get(branch, ""), {}), **changes}
        text = json.dumps([len(self.commits), *((k, hashlib.sha256(v).hexdigest()) for k, v in sorted(files.items()))])
        name = hashlib.sha1(text.encode()).hexdigest()
        self.commits[name], self.branches[branch] = files, name
        return name

    def find(self, revision: str) -> str | None:
        return self.branches.get(revision, revision if revision in self.commits else None)


@dataclass
class Fault:
    """What goes wrong with the next ``times`` requests of a method to paths that hold a text.

    ``status`` answers so, ``cut`` breaks off after that share of the file, ``flip`` changes its last byte.
    """

    method: str
    path: str
    times: int = 1
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: float | None = None
    flip: bool = False


class LoopbackHub(ThreadingHTTPServer):
    """Repositories, objects of the large file storage, faults to come, and all requests there were."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def storage(self) -> str:
        """Another host to the client, as the real storage is: it gets no token there."""
        return f"http://localhost:{self.server_address[1]}/storage"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up."""

    def requests(self, method: str, part: str) -> list[dict[str, str]]:
        return [headers for m, path, headers in self.seen if m == method and part in path]


@contextmanager
def loopback_hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield hub
        hub.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.command, path, headers))
        self.fault = next((f for f in self.server.faults if f.method == self.command and f.path in path), None)
        if self.fault is not None:
            self.fault.times -= 1
            if self.fault.times <= 0:
                self.server.faults.remove(self.fault)
            if self.fault.status is not None:
                return self._answer(self.fault.status, b'{"error": "made to fail"}', **self.fault.headers)
        for pattern, action in _ROUTES:
            if match := re.fullmatch(pattern, path):
                return action(self, **match.groupdict())
        return self._answer(404, b"{}")

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.fault is not None and self.fault.cut is not None:
            self.wfile.write(body[: int(self.fault.cut * len(body))])
            self.close_connection = True
            return
        self.wfile.write(body)

    def _json(self, value: object, status: int = 200) -> None:
        self._answer(status, json.dumps(value).encode(), Content_Type="application/json")

    def _may(self, repo: str) -> Repository | None:
        """Return the repository, or answer as the Hub does to those who may not see it."""
        found = self.server.repositories.get(repo)
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if self.headers.get("Authorization") and not known:
            self._answer(401, b"{}", X_Error_Message="Invalid credentials in Authorization header")
        elif found is None or (found.private and not known):
            self._answer(404 if known else 401, b"{}", X_Error_Code="RepoNotFound")
        elif found.gated:
            self._answer(403 if known else 401, b"{}", X_Error_Code="GatedRepo")
        else:
            return found
        return None

    def _resolve(self, repo: str, revision: str, name: str) -> None:
        found = self._may(repo)
        if found is None:
            return None
        commit = found.find(revision)
        if commit is None:
            return self._answer(404, b"{}", X_Error_Code="RevisionNotFound")
        if name not in found.commits[commit]:
            return self._answer(404, b"{}", X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        content = found.commits[commit][name]
        if name.endswith(".safetensors"):
            oid = hashlib.sha256(content).hexdigest()
            self.server.objects[oid] = content
            return self._answer(
                302, b"", Location=f"{self.server.storage}/{oid}", X_Repo_Commit=commit,
                X_Linked_ETag=f'"{oid}"', X_Linked_Size=str(len(content)), ETag='"a-pointer"',
            )  # fmt: skip
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return self._content(content, X_Repo_Commit=commit, ETag=f'"{blob}"')

    def _stored(self, oid: str) -> None:
        if self.command == "PUT":
            self.server.objects[oid] = self.body
            return self._answer(200)
        return self._content(self.server.objects[oid], ETag=f'"{oid}"')

    def _content(self, content: bytes, **headers: str) -> None:
        if self.fault is not None and self.fault.flip:
            content = content[:-1] + bytes([content[-1] ^ 1])
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            return self._answer(200, content, Accept_Ranges="bytes", **headers)
        start, end = int(asked[1]), int(asked[2] or len(content) - 1)
        if start >= len(content):
            return self._answer(416, b"", Content_Range=f"bytes */{len(content)}")
        part = content[start : end + 1]
        return self._answer(206, part, Content_Range=f"bytes {start}-{end}/{len(content)}", **headers)

    def _tree(self, repo: str, revision: str) -> None:
        if (found := self._may(repo)) and (commit := found.find(revision)):
            self._json([{"type": "file", "path": k, "size": len(v), "oid": "0" * 40} for k, v in
                        found.commits[commit].items()])  # fmt: skip

    def _info(self, repo: str, revision: str = "main") -> None:
        if (found := self._may(repo)) and (commit := found.find(revision)):
            self._json({"id": repo, "sha": commit, "siblings": []})

    def _create(self) -> None:
        asked = json.loads(self.body)
        repo = f"{asked['organization']}/{asked['name']}"
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer(401, b'{"error": "Invalid username or password."}')
        status = 409 if repo in self.server.repositories else 200
        if status == 200:
            made = self.server.repositories[repo] = Repository(private=asked.get("visibility") == "private")
            made.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        return self._json({"url": f"{self.server.url}/{repo}"}, status)

    def _preupload(self, repo: str, revision: str) -> None:
        if self._may(repo):
            files = [
                {
                    "path": f["path"],
                    "uploadMode": "lfs" if f["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for f in json.loads(self.body)["files"]
            ]
            self._json({"files": files})

    def _batch(self, repo: str) -> None:
        wanted = json.loads(self.body)["objects"]
        verify = {"href": f"{self.server.url}/verify"}
        objects = [
            {**w, "actions": {"upload": {"href": f"{self.server.url}/storage/{w['oid']}"}, "verify": verify}}
            for w in wanted
        ]
        self._json({"transfer": "basic", "objects": objects})

    def _verify(self) -> None:
        asked = json.loads(self.body)
        stored = self.server.objects[asked["oid"]]
        right = hashlib.sha256(stored).hexdigest() == asked["oid"] and len(stored) == asked["size"]
        self._json({}, 200 if right else 422)

    def _commit(self, repo: str, revision: str) -> None:
        found = self._may(repo)
        if found is None:
            return
        changes = {}
        for line in self.body.splitlines():
            item = json.loads(line)
            if item["key"] == "file":
                changes[item["value"]["path"]] = base64.b64decode(item["value"]["content"])
            elif item["key"] == "lfsFile":
                changes[item["value"]["path"]] = self.server.objects[item["value"]["oid"]]
        oid = found.commit(changes, revision)
        self._json({"commitUrl": f"{self.server.url}/{repo}/commit/{oid}", "commitOid": oid, "success": True})

    def _branch(self, repo: str, branch: str) -> None:
        if found := self._may(repo):
            status = 409 if branch in found.branches else 200
            found.branches.setdefault(branch, found.branches["main"])
            self._json({}, status)

    def _yaml(self) -> None:
        self._json({"errors": [], "warnings": []})


_REPO = r"(?P<repo>[^/]+/[^/]+)"
_ROUTES = [
    ("/api/repos/create", _Handler._create),
    ("/api/validate-yaml", _Handler._yaml),
    (rf"/api/models/{_REPO}/preupload/(?P<revision>.+)", _Handler._preupload),
    (rf"/api/models/{_REPO}/commit/(?P<revision>.+)", _Handler._commit),
    (rf"/api/models/{_REPO}/branch/(?P<branch>.+)", _Handler._branch),
    (rf"/api/models/{_REPO}/tree/(?P<revision>[^/]+)/?", _Handler._tree),
    (rf"/api/models/{_REPO}/revision/(?P<revision>.+)", _Handler._info),
    (rf"/api/models/{_REPO}", _Handler._info),
    (rf"/{_REPO}\.git/info/lfs/objects/batch", _Handler._batch),
    ("/storage/(?P<oid>[0-9a-f]{64})", _Handler._stored),
    ("/verify", _Handler._verify),
    (rf"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<name>.+)", _Handler._resolve),
]
