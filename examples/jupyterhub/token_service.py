"""A service of JupyterHub that trades the Hub's token of a user for a token of backpropd. Python's standard library alone.

    curl -H "Authorization: token $JUPYTERHUB_API_TOKEN" $JUPYTERHUB_SERVICE_URL/services/backpropd/token
"""

import base64, hashlib, hmac, json, os, secrets, time, urllib.error, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SECRET = open(os.environ["BACKPROPD_AUTH_SECRET_FILE"], "rb").readline().strip()  # the first line signs
AUDIENCE = os.environ.get("BACKPROPD_AUTH_AUDIENCE")
INSTRUCTORS = set(os.environ.get("BACKPROPD_INSTRUCTOR_GROUPS", "instructors").split(","))
LIFE = int(os.environ.get("BACKPROPD_TOKEN_SECONDS", 12 * 3600))
API, PREFIX = os.environ["JUPYTERHUB_API_URL"], os.environ["JUPYTERHUB_SERVICE_PREFIX"]


def user_of(token):
    """Who holds this token, as the Hub says."""
    request = urllib.request.Request(API + "/user", headers={"Authorization": f"token {token}"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


def signed(user):
    """A token for backpropd: `sub` is the user's name, and the role follows from the Hub's groups."""
    role = "instructor" if user.get("admin") or INSTRUCTORS & set(user.get("groups", [])) else "student"
    now = int(time.time())
    claims = {"sub": user["name"], "role": role, "iat": now, "exp": now + LIFE, "jti": secrets.token_hex(12)}
    claims |= {"aud": AUDIENCE} if AUDIENCE else {}
    encode = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
    body = b".".join(encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return (body + b"." + encode(hmac.digest(SECRET, body, hashlib.sha256))).decode()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        code, answer = 404, {"error": f"ask for {PREFIX}token"}
        if self.path == PREFIX + "token":
            try:
                user = user_of(token) if scheme.lower() in ("token", "bearer") else {}
                is_user = user.get("kind") == "user"
                code, answer = (200, {"token": signed(user)}) if is_user else (403, {"error": "send a user's Hub token"})
            except (urllib.error.HTTPError, UnicodeError):
                code, answer = 403, {"error": "the Hub does not know this token"}
            except OSError as error:
                code, answer = 502, {"error": f"the Hub does not answer: {error}"}
        body = json.dumps(answer).encode()
        self.send_response(code)
        for header in [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("Content-Length", str(len(body)))]:
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    address = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    ThreadingHTTPServer((address.hostname, address.port), Handler).serve_forever()
