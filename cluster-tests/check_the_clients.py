"""The clients of check-the-clients, and the origin of their zone: see there."""

import asyncio
import base64
import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
import urllib.parse

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import StreamReset

NCORE, DIR, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
HTTPS, ORIGIN = PORT + 1, PORT + 3
SMALL = bytes(range(256)) * 40
LARGE = hashlib.shake_128(b"large").digest(10_000_000)
BODY = hashlib.shake_128(b"body").digest(3_000_000)
ETAG = '"small-1"'
CASES = ["GET", "HEAD", "range", "304", "10 MB", "100 at once", "body sent"]

# What runs in the browser. Where each answer came from is in the entries of the page, as the browser saw it.
PAGE = """<!doctype html><title>check</title><script type=module>
const [small, large, upload, report, length, digest] = %s;
const hash = async bytes => [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))].map(b => b.toString(16).padStart(2, '0')).join('');
const none = {cache: 'no-store'}, said = {};
const is = async (name, check) => { try { said[name] = await check() ? 'ok' : 'wrong'; } catch (error) { said[name] = String(error); } };
let tag;
await is('GET', async () => {
  const answer = await fetch(small, none), body = new Uint8Array(await answer.arrayBuffer());
  tag = answer.headers.get('etag');
  return answer.status == 200 && body.length == length && body.every((byte, at) => byte == at %% 256);
});
await is('HEAD', async () => {
  const answer = await fetch(small, {...none, method: 'HEAD'});
  return answer.status == 200 && answer.headers.get('content-length') == length && (await answer.arrayBuffer()).byteLength == 0;
});
await is('range', async () => {
  const answer = await fetch(small, {...none, headers: {range: 'bytes=300-309'}}), body = new Uint8Array(await answer.arrayBuffer());
  return answer.status == 206 && body.join() == '44,45,46,47,48,49,50,51,52,53';
});
await is('304', async () => (await fetch(small, {...none, headers: {'if-none-match': tag}})).status == 304);
await is('10 MB', async () => await hash(await (await fetch(large, none)).arrayBuffer()) == digest);
await is('100 at once', async () => {
  const all = await Promise.all([...Array(100).keys()].map(async at => (await (await fetch(small + '?' + at, none)).arrayBuffer()).byteLength));
  return all.length == 100 && all.every(count => count == length);
});
if (upload) await is('body sent', async () => {
  const body = new Uint8Array(3000000).map((_, at) => at * 7);
  return await (await fetch(upload, {...none, method: 'POST', body})).text() == await hash(body);
});
const entries = performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'));
const protocols = [...new Set(entries.map(entry => entry.nextHopProtocol))].filter(name => name);
await fetch(report, {method: 'POST', mode: 'no-cors', body: JSON.stringify({said, protocols})});
</script>"""


class Origin(http.server.BaseHTTPRequestHandler):
    """Answers with what the cases want, and takes what the browser reports."""

    protocol_version = "HTTP/1.1"
    pages = {}
    reports = []
    reported = threading.Event()

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        body, kind = Origin.pages.get(path, (None, None))
        if body is None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        unchanged = self.headers.get("If-None-Match") == ETAG
        self.send_response(304 if unchanged else 200)
        self.send_header("ETag", ETAG)
        self.send_header("Cache-Control", "max-age=60")
        if not unchanged:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not unchanged and self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def do_POST(self):
        body = self.body()
        if self.path == "/report":
            Origin.reports.append(json.loads(body))
            Origin.reported.set()
        answer = hashlib.sha256(body).hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while length := int(self.rfile.readline(), 16):
            body += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, *_):
        pass


def run(*command, **more):
    return subprocess.run(command, capture_output=True, timeout=120, check=False, **more)


def put(name, body, path):
    """Makes an asset; its path in URLs."""
    file = os.path.join(DIR, name)
    with open(file, "wb") as out:
        out.write(body)
    put = run(NCORE, "asset", "put", file, path, "--json")
    return urllib.parse.urlsplit(json.loads(put.stdout)["url"]).path


# curl, over HTTP/1.1 and HTTP/2.


def curl(version, host, small, large, upload):
    base = ["curl", "-sS", version, "--cacert", f"{DIR}/tls.crt", "--resolve", f"{host}:{HTTPS}:127.0.0.1"]
    url = f"https://{host}:{HTTPS}"
    number = b"2" if version == "--http2" else b"1.1"

    def ask(path, *more):
        asked = run(*base, "-w", "%{stderr}%{http_version} %{http_code}", *more, url + path)
        spoken, status = asked.stderr.split()[-2:]
        return status.decode() if spoken == number else f"HTTP/{spoken}", asked.stdout

    def head():
        status, fields = ask(small, "-I")
        return status == "200" and f"content-length: {len(SMALL)}" in fields.decode().lower()

    def unchanged():
        fields = ask(small, "-I")[1].decode()
        tag = re.search(r"(?im)^etag: *(\S+)", fields).group(1)
        return ask(small, "-H", f"If-None-Match: {tag}") == ("304", b"")

    def at_once():
        out = os.path.join(DIR, "at-once-#1")
        asked = run(*base, "-Z", "--parallel-max", "100", "-w", "%{http_code} %{http_version}\n", "-o", out, f"{url}{small}?[1-100]")
        files = [os.path.join(DIR, f"at-once-{at}") for at in range(1, 101)]
        whole = all(open(file, "rb").read() == SMALL for file in files)
        for file in files:
            os.unlink(file)
        return asked.stdout == b"200 %s\n" % number * 100 and whole

    def sent():
        file = os.path.join(DIR, "body")
        with open(file, "wb") as out:
            out.write(BODY)
        return ask(upload, "--data-binary", f"@{file}") == ("200", hashlib.sha256(BODY).hexdigest().encode())

    return {
        "GET": lambda: ask(small) == ("200", SMALL),
        "HEAD": head,
        "range": lambda: ask(small, "-r", "300-309") == ("206", SMALL[300:310]),
        "304": unchanged,
        "10 MB": lambda: ask(large) == ("200", LARGE),
        "100 at once": at_once,
        "body sent": upload and sent,
    }


# h2load, which counts answers and bytes.


def h2load(host, small, large, upload):
    def load(path, count, at_once, *more):
        command = ["h2load", "-n", str(count), "-c", "1", "-m", str(at_once), f"--connect-to=127.0.0.1:{HTTPS}", *more]
        out = run(*command, f"https://{host}:{HTTPS}{path}").stdout.decode()
        codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out)
        done = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", out)
        size = re.search(r"\((\d+)\) data", out)
        h2 = "Application protocol: h2" in out
        return h2, [int(code) for code in codes.groups()], int(done.group(1)), int(size.group(1))

    def is_so(path, count, at_once, codes, size, *more):
        found = load(path, count, at_once, *more)
        return found == (True, codes, count, size)

    def sent():
        file = os.path.join(DIR, "body")
        with open(file, "wb") as out:
            out.write(BODY)
        return is_so(upload, 4, 4, [4, 0, 0, 0], 4 * 64, "-d", file)

    return {
        "GET": lambda: is_so(small, 1, 1, [1, 0, 0, 0], len(SMALL)),
        "HEAD": lambda: is_so(small, 1, 1, [1, 0, 0, 0], 0, "-H", ":method: HEAD"),
        "range": lambda: is_so(small, 1, 1, [1, 0, 0, 0], 10, "-H", "range: bytes=300-309"),
        "304": lambda: is_so(small, 1, 1, [0, 1, 0, 0], 0, "-H", "if-none-match: *"),
        "10 MB": lambda: is_so(large, 4, 4, [4, 0, 0, 0], 4 * len(LARGE)),
        "100 at once": lambda: is_so(small, 2000, 100, [2000, 0, 0, 0], 2000 * len(SMALL)),
        "body sent": upload and sent,
    }


# aioquic.


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.http = H3Connection(self._quic)
        # aioquic takes a response to HEAD, and a 304, for malformed if it has a Content-Length (RFC 9110 §8.6 allows it); the cases compare lengths.
        self.http._check_content_length = lambda stream: None
        self.answers = {}

    def ask(self, host, path, method="GET", body=None, **fields):
        stream = self._quic.get_next_available_stream_id()
        head = [(b":method", method.encode()), (b":scheme", b"https"), (b":authority", f"{host}:{HTTPS}".encode()), (b":path", path.encode())]
        head += [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
        answer = asyncio.get_running_loop().create_future()
        self.answers[stream] = (answer, {}, bytearray())
        self.http.send_headers(stream, head, end_stream=body is None)
        if body is not None:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()
        return asyncio.wait_for(answer, 60)

    def quic_event_received(self, event):
        if isinstance(event, StreamReset) and event.stream_id in self.answers:
            self.answers.pop(event.stream_id)[0].set_exception(ConnectionError(f"reset with {event.error_code:#x}"))
        for event in self.http.handle_event(event):
            if not isinstance(event, (HeadersReceived, DataReceived)) or event.stream_id not in self.answers:
                continue
            answer, fields, body = self.answers[event.stream_id]
            if isinstance(event, HeadersReceived):
                fields.update((name.decode(), value.decode()) for name, value in event.headers)
            else:
                body += event.data
            if event.stream_ended:
                del self.answers[event.stream_id]
                answer.set_result((fields[":status"], fields, bytes(body)))


def aioquic(host, small, large, upload):
    async def over(case):
        configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name=host)
        configuration.load_verify_locations(f"{DIR}/tls.crt")
        async with connect("127.0.0.1", HTTPS, configuration=configuration, create_protocol=Client) as client:
            return await case(client)

    async def get(client):
        status, fields, body = await client.ask(host, small)
        return (status, body, fields["content-length"]) == ("200", SMALL, str(len(SMALL)))

    async def head(client):
        status, fields, body = await client.ask(host, small, "HEAD")
        return (status, body, fields["content-length"]) == ("200", b"", str(len(SMALL)))

    async def part(client):
        status, fields, body = await client.ask(host, small, range="bytes=300-309")
        return (status, body, fields["content-range"]) == ("206", SMALL[300:310], f"bytes 300-309/{len(SMALL)}")

    async def unchanged(client):
        tag = (await client.ask(host, small, "HEAD"))[1]["etag"]
        status, _, body = await client.ask(host, small, if_none_match=tag)
        return (status, body) == ("304", b"")

    async def ten(client):
        status, _, body = await client.ask(host, large)
        return (status, body) == ("200", LARGE)

    async def at_once(client):
        answers = await asyncio.gather(*(client.ask(host, f"{small}?{at}") for at in range(100)))
        return all((status, body) == ("200", SMALL) for status, _, body in answers)

    async def sent(client):
        digest = hashlib.sha256(BODY).hexdigest().encode()
        said = await client.ask(host, upload, "POST", BODY, content_length=str(len(BODY)))
        unsaid = await client.ask(host, upload, "POST", BODY)
        return [(status, body) for status, _, body in (said, unsaid)] == [("200", digest)] * 2

    cases = [get, head, part, unchanged, ten, at_once, upload and sent]
    return {name: case and (lambda case=case: asyncio.run(over(case))) for name, case in zip(CASES, cases)}


# Chromium, told that HTTP/3 is spoken here: with a certificate of one's own it does not believe Alt-Svc.


def chromium(url):
    pin = "openssl x509 -in tls.crt -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary"
    pin = base64.b64encode(run("sh", "-c", pin, cwd=DIR).stdout).decode()
    Origin.reported.clear()
    hosts = ",".join(f"{host}:{HTTPS}" for host in ("clients.test", "localhost"))
    log = open(os.path.join(DIR, "chromium"), "wb")
    browser = subprocess.Popen(
        [
            os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            f"--user-data-dir={DIR}/profile",
            f"--origin-to-force-quic-on={hosts}",
            f"--ignore-certificate-errors-spki-list={pin}",
            "--host-resolver-rules=MAP clients.test 127.0.0.1, MAP localhost 127.0.0.1",
            url,
        ],
        stdout=log,
        stderr=log,
    )
    try:
        if not Origin.reported.wait(120):
            return {}
    finally:
        browser.terminate()
        browser.wait()
    report = Origin.reports.pop()
    if report["protocols"] != ["h3"]:
        return {name: f"over {report['protocols']}" for name in CASES}
    return report["said"]


def outcome(case):
    try:
        return "ok" if case() else "wrong"
    except Exception as error:  # whatever it is, it goes into the table
        return f"{type(error).__name__}: {error}"


def main():
    page = lambda *args: (PAGE % json.dumps(args)).encode()
    digest = hashlib.sha256(LARGE).hexdigest()
    report = f"https://clients.test:{HTTPS}/report"
    Origin.pages = {
        "/small": (SMALL, "application/octet-stream"),
        "/large": (LARGE, "application/octet-stream"),
        "/check": (page("/small", "/large", "/sent", report, len(SMALL), digest), "text/html"),
    }
    http.server.ThreadingHTTPServer.request_queue_size = 256
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", ORIGIN), Origin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    small, large = put("small.bin", SMALL, "check/small.bin"), put("large.bin", LARGE, "check/large.bin")
    check = put("check.html", page(small, large, None, report, len(SMALL), digest), "check/check.html")
    asset, zone = ("localhost", small, large, None), ("clients.test", "/small", "/large", "/sent")
    rows = []
    for what, of, url in (("asset", asset, f"https://localhost:{HTTPS}{check}"), ("zone", zone, f"https://clients.test:{HTTPS}/check")):
        cases = {"curl, HTTP/1.1": curl("--http1.1", *of), "curl, HTTP/2": curl("--http2", *of), "h2load, HTTP/2": h2load(*of), "aioquic, HTTP/3": aioquic(*of)}
        for client, of_client in cases.items():
            rows.append((f"{client}: {what}", [outcome(of_client[name]) if of_client[name] else "-" for name in CASES]))
        found = chromium(url)
        rows.append((f"Chromium, HTTP/3: {what}", [found.get(name, "-" if name == "body sent" and what == "asset" else "nothing") for name in CASES]))
    print("| client |", " | ".join(CASES), "|")
    print("|---|" + "---|" * len(CASES))
    for name, cells in rows:
        print(f"| {name} |", " | ".join(cells), "|")
    wrong = [cell for _, cells in rows for cell in cells if cell not in ("ok", "-")]
    print(f"{sum(cells.count('ok') for _, cells in rows)} ok, {len(wrong)} not")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
