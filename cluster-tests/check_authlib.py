"""What check-authlib does with authlib: see there."""

import collections
import json
import sys
import time

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

with open(sys.argv[1]) as file:
    client = json.load(file)
nodes = sys.argv[2:]
# What was sent, by the status of its answer.
answers = collections.Counter()
send = requests.Session.send


def counted(session, request, **how):
    answer = send(session, request, **how)
    answers[answer.status_code] += 1
    return answer


requests.Session.send = counted


def metadata_of(node):
    document = requests.get(f"{node}/.well-known/oauth-authorization-server", timeout=30).json()
    metadata = AuthorizationServerMetadata(document)
    # Of `validate` everything but what the test cannot have (https) or the server does not (an authorization endpoint).
    for claim in ("scopes_supported", "response_types_supported", "grant_types_supported", "token_endpoint_auth_methods_supported"):
        getattr(metadata, f"validate_{claim}")()
    assert document["issuer"] == node, document
    return metadata


def verified(token, keys):
    """The claims of a token whose signature is good, by the JOSE library that authlib uses or brings."""
    try:
        from joserfc import jwt
        from joserfc.jwk import KeySet
    except ImportError:
        from authlib.jose import JsonWebKey, JsonWebToken

        return dict(JsonWebToken(["EdDSA"]).decode(token, JsonWebKey.import_key_set(keys)))
    return jwt.decode(token, KeySet.import_key_set(keys), algorithms=["EdDSA", "Ed25519"]).claims


def refused(status, code, call):
    try:
        answer = call()
    except OAuthError as error:
        assert error.error == code, error
    else:
        assert answer.status_code == status, answer.text


def get(session, node):
    return session.get(f"{node}/api/v2/account", timeout=30)


def session_at(metadata, method):
    return OAuth2Session(
        client["client_id"],
        client["secret"],
        scope="assets:read metrics:read",
        token_endpoint_auth_method=method,
        token_endpoint=metadata["token_endpoint"],
        revocation_endpoint_auth_method=method,
    )


for turn, method in enumerate(["client_secret_basic", "client_secret_post"]):
    one, other, third = (nodes[(turn + offset) % 3] for offset in range(3))
    metadata = metadata_of(one)
    session = session_at(metadata, method)
    token = session.fetch_token(grant_type="client_credentials")
    assert token["token_type"] == "Bearer" and token["scope"] == "assets:read metrics:read", token
    assert 86_000 < token["expires_at"] - time.time() <= 86_400, token

    keys = requests.get(metadata_of(other)["jwks_uri"], timeout=30).json()
    claims = verified(token["access_token"], keys)
    assert claims["iss"] == metadata["issuer"] and claims["client_id"] == client["client_id"], claims
    tampered = token["access_token"][:-8] + "AAAAAAAA"
    try:
        verified(tampered, keys)
        raise SystemExit("a signature that is none was taken")
    except Exception as error:
        print(f"{method}: a tampered token: {type(error).__name__}")
    for node in nodes:
        answer = get(session, node)
        assert answer.status_code == 200, answer.text
    facts = session.introspect_token(metadata["introspection_endpoint"], token=token["access_token"]).json()
    assert facts["active"] is True and facts["scope"] == token["scope"] and facts["iss"] == claims["iss"], facts
    print(f"{method}: client credentials at {one}, checked with the keys of {other}, used at all")

    answer = session.revoke_token(metadata_of(third)["revocation_endpoint"], token=token["access_token"])
    assert answer.status_code == 200, answer.text
    for node in nodes:
        answer = get(session, node)
        assert answer.status_code == 401, answer.text
    facts = session.introspect_token(metadata["introspection_endpoint"], token=token["access_token"]).json()
    assert facts == {"active": False}, facts
    print(f"{method}: revoked at {third}, refused at all")

session = session_at(metadata_of(nodes[0]), "client_secret_basic")
given = [client["refresh_token"]]
for use in range(3):
    endpoint = f"{nodes[use % 3]}/api/v2/auth/token"
    token = session.refresh_token(endpoint, refresh_token=given[-1])
    assert token["refresh_token"] not in given, token
    given.append(token["refresh_token"])
    answer = get(session, nodes[(use + 1) % 3])
    assert answer.status_code == 200, answer.text
print("refreshed three times, each time for another refresh token")

# authlib refreshes by itself what has expired.
session.token = dict(token, expires_at=int(time.time()) - 10)
answer = get(session, nodes[1])
assert answer.status_code == 200 and session.token["refresh_token"] not in given, answer.text
print("an expired token was refreshed by authlib itself")

newest = session.token["refresh_token"]
refused(400, "invalid_grant", lambda: session.refresh_token(f"{nodes[2]}/api/v2/auth/token", refresh_token=given[1]))
refused(400, "invalid_grant", lambda: session.refresh_token(f"{nodes[0]}/api/v2/auth/token", refresh_token=newest))
bearer = {"Authorization": f"Bearer {session.token['access_token']}"}
for node in nodes:
    answer = requests.get(f"{node}/api/v2/account", headers=bearer, timeout=30)
    assert answer.status_code == 401, answer.text
print("a refresh token that was used twice ended its family, at every node")

wrong = OAuth2Session(client["client_id"], "ncs_wrong", token_endpoint=f"{nodes[0]}/api/v2/auth/token")
refused(401, "invalid_client", lambda: wrong.fetch_token(grant_type="client_credentials"))
print("a wrong secret is invalid_client")
by_status = ", ".join(f"{count} with {status}" for status, count in sorted(answers.items()))
print(f"{sum(answers.values())} requests of authlib and requests at {len(nodes)} nodes, each answered as it had to be: {by_status}")
