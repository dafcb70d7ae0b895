"""A storage server for inputs and outputs, and a small client that speaks Adobe's contract."""

from __future__ import annotations

import http.server
import io
import threading
import time
from typing import Any

import requests
from PIL import Image, ImageDraw

from local.adobe import Settings, StandIn

FAST = Settings(port=0, allow_loopback=True, quiet=True, pixels="fast", limits=False, duration=0.0)


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def disc(size: tuple[int, int]) -> bytes:
    """A mask with a white disc in the middle."""
    image = Image.new("L", size)
    width, height = size
    ImageDraw.Draw(image).ellipse((width * 0.4, height * 0.4, width * 0.6, height * 0.6), fill=255)
    return png(image)


class Bucket:
    """Objects over HTTP: GET and PUT, as presigned links give them."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.headers_seen: list[dict[str, str]] = []
        bucket = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                bucket.headers_seen.append(dict(self.headers))
                content = bucket.objects.get(self.path.split("?")[0])
                self.send_response(200 if content is not None else 404)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def do_PUT(self) -> None:
                length = int(self.headers["Content-Length"])
                bucket.objects[self.path.split("?")[0]] = self.rfile.read(length)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """A stand-in that is stopped leaves in the middle of a download."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def put(self, key: str, content: bytes) -> str:
        self.objects["/" + key] = content
        return f"{self.url}/{key}?X-Amz-Signature=input"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Client:
    """The least that a client of the contract does."""

    def __init__(self, adobe: StandIn) -> None:
        self.adobe = adobe
        self.http = requests.Session()
        self.http.trust_env = False
        self.headers = {
            "Authorization": f"Bearer {self.request_token().json()['access_token']}",
            "x-api-key": adobe.settings.client_id,
        }

    def request_token(self) -> requests.Response:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.adobe.settings.client_id,
            "client_secret": self.adobe.settings.client_secret,
            "scope": "openid,AdobeID,read_organizations",
        }
        return self.http.post(self.adobe.url + "/ims/token/v3", data=form, timeout=10)

    def post(self, path: str, body: Any, **more: Any) -> requests.Response:
        more.setdefault("headers", self.headers)
        return self.http.post(self.adobe.url + path, json=body, timeout=10, **more)

    def get(self, url: str) -> requests.Response:
        return self.http.get(url, headers=self.headers, timeout=10)

    def download(self, url: str, **more: Any) -> requests.Response:
        return self.http.get(url, timeout=10, **more)

    def finish(self, answer: requests.Response, seconds: float = 20) -> dict[str, Any]:
        """Ask until the job is over, or just not running after ``seconds``."""
        assert answer.status_code == 202, answer.text
        said = answer.json()
        link = said.get("statusUrl") or said["_links"]["self"]["href"]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status: dict[str, Any] = self.get(link).json()
            if status["status"] in ("succeeded", "failed"):
                return status
            time.sleep(0.02)
        raise AssertionError(f"still {status['status']}")

    def settle(self, seconds: float = 20) -> None:
        """Wait until the newest job is over, without asking the route that a rule may watch."""
        end = time.monotonic() + seconds
        while self.adobe.jobs()[0]["status"] not in ("succeeded", "failed"):
            assert time.monotonic() < end
            time.sleep(0.02)

    def mask(self, url: str) -> requests.Response:
        return self.post("/v1/mask-objects", {"image": source(url)})

    def fill(self, url: str, *masks: str) -> requests.Response:
        return self.post("/v1/fill-masked-areas", {"image": source(url), "masks": [source(mask) for mask in masks]})


def source(url: str) -> dict[str, Any]:
    return {"source": {"url": url}}


def picture(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image
