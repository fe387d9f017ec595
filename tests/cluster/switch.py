"""An Ethernet switch in user space between network namespaces: for kernels without netem, which delays and drops.

    switch.py PREFIX COUNT

makes the namespaces PREFIX-h1 … PREFIX-hCOUNT with the addresses 10.77.0.1 …, and removes them at its end. Commands, one a line
on standard input, each answered by a line:

    delay A B MILLISECONDS    between two hosts, in both directions; * is any host
    cut A B                   nothing passes between them, and neither is told
    heal                      no delays and no cuts
    quit                      as the end of standard input
"""

import contextlib
import ctypes
import fcntl
import heapq
import os
import select
import struct
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
TAP_WITHOUT_HEADER = 0x1002
FRAMES_AT_ONCE = 64


def run(command, check=True):
    subprocess.run(command, shell=True, check=check, stdout=subprocess.DEVNULL, stderr=None if check else subprocess.DEVNULL)


class Switch:
    def __init__(self, prefix, count):
        self.prefix = prefix
        self.hosts = range(1, count + 1)
        self.ports = {}
        self.delays, self.cuts = {}, set()
        self.waiting, self.number = [], 0

    def open(self):
        libc = ctypes.CDLL(None, use_errno=True)
        here = os.open("/proc/self/ns/net", os.O_RDONLY)
        for host in self.hosts:
            name = f"{self.prefix}-h{host}"
            run(f"ip netns add {name}")
            there = os.open(f"/run/netns/{name}", os.O_RDONLY)
            # A device belongs to the namespace in which it was made; the file stays open in this one.
            assert libc.setns(there, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            port = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(port, TUNSETIFF, struct.pack("16sH22x", b"eth0", TAP_WITHOUT_HEADER))
            assert libc.setns(here, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            os.close(there)
            self.ports[host] = port
            run(
                f"ip -n {name} link set lo up && ip -n {name} link set eth0 address 02:00:00:00:00:{host:02x} && "
                f"ip -n {name} addr add 10.77.0.{host}/24 dev eth0 && ip -n {name} link set eth0 up"
            )

    def close(self):
        for host in self.hosts:
            name = f"{self.prefix}-h{host}"
            run(f"ip netns pids {name} | xargs --no-run-if-empty kill -9", check=False)
            run(f"ip netns del {name}", check=False)

    def serve(self):
        hosts = {port: host for host, port in self.ports.items()}
        while True:
            wait = max(0.0, self.waiting[0][0] - time.monotonic()) if self.waiting else None
            for ready in select.select([0, *hosts], [], [], wait)[0]:
                if ready != 0:
                    self.receive(hosts[ready])
                elif not self.obey(os.read(0, 4096).decode()):
                    return
            now = time.monotonic()
            while self.waiting and self.waiting[0][0] <= now:
                _, _, to, frame = heapq.heappop(self.waiting)
                self.send(to, frame)

    def obey(self, lines):
        for line in lines.splitlines():
            word, *rest = line.split()
            if word == "quit":
                return False
            if word == "heal":
                self.delays, self.cuts = {}, set()
            elif word == "cut":
                self.cuts |= self.pairs(*rest)
            else:
                self.delays |= dict.fromkeys(self.pairs(*rest[:2]), float(rest[2]) / 1e3)
            print("ok", line, flush=True)
        return bool(lines)

    def pairs(self, a, b):
        def is_one(host, word):
            return word in ("*", str(host))

        both = [(x, y) for x in self.hosts for y in self.hosts if x != y]
        return {(x, y) for x, y in both if (is_one(x, a) and is_one(y, b)) or (is_one(y, a) and is_one(x, b))}

    def receive(self, sender):
        for _ in range(FRAMES_AT_ONCE):
            try:
                frame = os.read(self.ports[sender], 65536)
            except BlockingIOError:
                return
            # The last byte of an address is its host; what is for all goes to all.
            known = frame[0] == 2 and frame[5] in self.ports
            for to in [frame[5]] if known else [host for host in self.hosts if host != sender]:
                if (sender, to) in self.cuts:
                    continue
                delay = self.delays.get((sender, to))
                if delay is None:
                    self.send(to, frame)
                else:
                    self.number += 1
                    heapq.heappush(self.waiting, (time.monotonic() + delay, self.number, to, frame))

    def send(self, to, frame):
        # A full queue or a device that is down drops frames, as a wire does.
        with contextlib.suppress(OSError):
            os.write(self.ports[to], frame)


def main():
    switch = Switch(sys.argv[1], int(sys.argv[2]))
    try:
        switch.open()
        print("ready", flush=True)
        switch.serve()
    finally:
        switch.close()


if __name__ == "__main__":
    main()
