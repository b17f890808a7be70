"""What schemathesis has to be told of NCore; see check-the-api, which has it loaded."""

import base64
import json
import re
import time

import schemathesis
from hypothesis import strategies as st
from schemathesis.openapi.checks import RejectedPositiveData
from schemathesis.specs.openapi.checks import positive_data_acceptance

# Refusals of requests that the document allows: a schema says nothing of the state of the cluster, nor of one parameter beside another.
# Each is the code of the answer, how its detail begins, and what is not told. Any other refusal of a valid request is a finding.
UNTOLD = [
    ("revision_unknown", "", "which revisions there are"),
    ("invalid_cursor", "", "which cursors were given"),
    ("precondition_failed", "", "what is at the path"),
    ("checksum_mismatch", "", "whether the checksum is that of the body"),
    ("upload_too_large", "", "the limit is a setting of the node"),
    ("upload_length", "", "how many bytes were announced"),
    ("idempotency_key_reused", "", "which keys were used"),
    ("invalid_query", "from must be before to", "two parameters"),
    ("invalid_query", "the last ", "what time it is"),
    ("invalid_query", "mime and delimiter do not go together", "two parameters"),
    ("invalid_header", "If-Match and If-None-Match exclude each other", "two headers"),
    ("invalid_body", "the body is not as it must be: invalid type: floating point", "to JSON Schema 1.0 is an integer"),
    ("invalid_field", "the pattern is not a glob", "which brackets are closed"),
    ("invalid_grant", "", "which refresh tokens there are"),
    ("invalid_request", "the secret is sent in one way only", "a header and a field"),
    ("invalid_request", "client_id is not that of the Authorization header", "a header and a field"),
]

# Pieces of uploads are bytes, under a name that schemathesis does not know.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")


def metadata(path, ttl, own):
    """The metadata of an upload, as clients of tus write them."""
    texts = {"path": path, "cache_ttl": ttl, "own": own}
    encoded = ((name, base64.b64encode(text.encode()).decode()) for name, text in texts.items() if text is not None)
    return ",".join(f"{name} {text}" for name, text in encoded)


def network(address, bits):
    """A network that has the address in it, without bits of the address behind its own."""
    first = int(address) >> (32 - bits) << (32 - bits)
    return ".".join(str(first >> shift & 255) for shift in (24, 16, 8, 0)) + f"/{bits}"


# Formats that no pattern says: a text in base64 that is a path, and networks.
SEGMENTS = st.text("abcXYZ019_-. ü", min_size=1, max_size=8).map(lambda text: f"{text}-x")
PATHS = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)
TIMES = st.none() | st.integers(0, 1000).map(str)
ADDRESSES = st.ip_addresses(v=4)
schemathesis.openapi.format("upload-metadata", st.builds(metadata, PATHS, TIMES, st.none() | st.text(max_size=20)))
schemathesis.openapi.format("ip-range", ADDRESSES.map(str) | st.builds(network, ADDRESSES, st.integers(0, 32)))
# Revisions that are there, beside those that only look like it.
REVISIONS = st.sampled_from(["1.1", "1.2", "1.9"])


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """The coverage phase makes no texts for the patterns of headers, and sends an empty one as a good one. For formats it is told how."""
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                pattern = parameter["schema"].get("pattern")
                if parameter["in"] == "header" and pattern:
                    name = parameter["name"].lower()
                    good = st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True)
                    schemathesis.openapi.format(name, REVISIONS | good if name == "x-ncore-revision" else good)
                    parameter["schema"]["format"] = name


class Seen:
    """What came before."""

    requests = 0
    uploads = []


@schemathesis.hook
def before_call(context, case, kwargs):
    """Every other request about an upload is about one that is there."""
    Seen.requests += 1
    if case.path == "/api/v2/uploads/{id}" and Seen.uploads and Seen.requests % 2:
        case.path_parameters["id"] = Seen.uploads[-1]
    if case.meta is not None and case.meta.generation.mode.is_positive and Seen.requests % 4:
        make_sensible(case)


def make_sensible(case):
    """Most valid requests are made so that they are not refused for what no schema says, before anything else is looked at."""
    headers, query = case.headers, case.query
    if "Idempotency-Key" in headers:
        headers["Idempotency-Key"] = f"{Seen.requests}"
    if "If-Match" in headers and ("If-None-Match" in headers or Seen.requests % 2):
        del headers["If-Match"]
    if "Upload-Checksum" in headers and Seen.requests % 2:
        del headers["Upload-Checksum"]
    if "mime" in query and "delimiter" in query:
        del query["mime" if Seen.requests % 2 else "delimiter"]
    if case.path.endswith(("/metrics", "/logs")):
        now = int(time.time())
        for name, at in (("from", now - 3_600 * (Seen.requests % 200)), ("to", now + 60)):
            if name in query:
                query[name] = at


@schemathesis.hook
def after_call(context, case, response):
    """Keeps where uploads are: no body says it."""
    if case.path == "/api/v2/uploads" and case.method == "POST" and response.status_code == 201:
        Seen.uploads.append(response.headers["location"][0].rsplit("/", 1)[1])


@schemathesis.check
def valid_request_is_accepted(ctx, response, case):
    """`positive_data_acceptance`, but for what no schema can say."""
    try:
        return positive_data_acceptance(ctx, response, case)
    except RejectedPositiveData:
        code, detail = refusal(response)
        if any(code == known and detail.startswith(start) for known, start, _ in UNTOLD):
            return None
        # An answer to HEAD has no body that says why.
        if case.method == "HEAD" and response.status_code == 400 and is_beyond(response, case):
            return None
        raise


def refusal(response):
    """The code and the detail of an answer, as the API or as OAuth has them."""
    try:
        document = json.loads(response.content)
    except ValueError:
        return "", ""
    if not isinstance(document, dict):
        return "", ""
    return document.get("code") or document.get("error") or "", document.get("detail") or document.get("error_description") or ""


def is_beyond(response, case):
    """Whether a request presents a revision that the node has not reached."""
    presented = (case.headers or {}).get("X-NCore-Revision")
    return presented is not None and numbers(presented) > numbers(response.headers["x-ncore-revision"][0])


def numbers(revision):
    """Its lineage and its index."""
    return tuple(int(number) for number in revision.split("."))
