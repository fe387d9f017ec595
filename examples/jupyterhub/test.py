"""Tries token_service.py against a Hub that answers from a table: python3 test.py BACKPROPD"""

import json, os, pathlib, socket, subprocess, sys, tempfile, threading, time, urllib.error, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PROGRAM = sys.argv[1]
USERS = {
    "t-ada": {"kind": "user", "name": "ada", "admin": False, "groups": ["instructors"]},
    "t-alan": {"kind": "user", "name": "alan", "admin": False, "groups": ["section-1"]},
    "t-root": {"kind": "user", "name": "root", "admin": True, "groups": []},
    "t-service": {"kind": "service", "name": "culler"},
}


class Hub(BaseHTTPRequestHandler):
    def do_GET(self):
        user = USERS.get(self.headers.get("Authorization", "").removeprefix("token "))
        self.send_response(200 if user else 403)
        self.end_headers()
        self.wfile.write(json.dumps(user).encode())

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def asked(port, path, headers):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


hub = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=hub.serve_forever, daemon=True).start()
with tempfile.TemporaryDirectory() as folder:
    secrets = os.path.join(folder, "secrets")
    subprocess.run([PROGRAM, "token", "--new-secret", secrets], check=True)
    port = free_port()
    service = subprocess.Popen(
        [sys.executable, pathlib.Path(__file__).with_name("token_service.py")],
        env=os.environ | {
            "BACKPROPD_AUTH_SECRET_FILE": secrets,
            "JUPYTERHUB_API_URL": f"http://127.0.0.1:{hub.server_port}/hub/api",
            "JUPYTERHUB_SERVICE_PREFIX": "/services/backpropd/",
            "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}",
        },
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(500):
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        path = "/services/backpropd/token"
        for given, role in [("t-ada", "instructor"), ("t-alan", "student"), ("t-root", "instructor")]:
            code, answer = asked(port, path, {"Authorization": f"token {given}"})
            assert code == 200, answer
            inspected = subprocess.run(
                [PROGRAM, "token", "--secret-file", secrets, "--json", "--inspect", "-"],
                input=answer["token"], capture_output=True, text=True, check=True,
            )
            claims = json.loads(inspected.stdout)["claims"]
            assert (claims["sub"], claims["role"]) == (USERS[given]["name"], role), claims
        for headers in [{}, {"Authorization": "token none"}, {"Authorization": "token t-service"}, {"Authorization": "Basic dDp0"}]:
            code, answer = asked(port, path, headers)
            assert code == 403 and "token" not in answer, (headers, answer)
        assert asked(port, "/", {})[0] == 404
    finally:
        service.terminate()
        service.wait()
print("ok")
