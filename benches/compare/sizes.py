"""Cost against size: a step by its operations, a call by its bytes, a server by its sessions."""

from ground import say


def measure(service, own, quick):
    """`own`: the variants of this crate alone."""
    return {"steps": steps(own, quick), "calls": calls(service, quick), "sessions": sessions(service, quick)}


def steps(own, quick):
    """Networks n-n-n on n samples in f32: five products of 2 n³ operations."""
    told = []
    for half in range(4, 19 if quick else 23):
        n = round((10 ** (half / 2) / 10) ** (1 / 3))
        work = {"name": f"{n}-{n}-{n}", "sizes": [n, n, n], "rows": n, "double": False, "bias": False, "adam": False}
        work |= {"scan": 1, "learning_rate": 1e-12}
        point = {"flops": 10 * n**3}
        for variant in own:
            count = variant.prepare(work, 0.1)
            point[f"{variant.kind} {variant.threads}"] = min(variant.time(work, count) for _ in range(3))
        say(f"  {point}")
        told.append(point)
    return told


def calls(service, quick):
    """Predict with raw inputs, one call at a time."""
    bytes_ = [round(100 * 10 ** (half / 2) / 100) * 100 for half in range(0, 7 if quick else 11)]
    with service.data() as data, service.on(data) as ours:
        told = service.ask("payload", address=ours.address, bytes=bytes_, seconds=0.3)
    say(f"  {told}")
    return told


def sessions(service, quick):
    """Memory and one call; in memory alone, because a hundred thousand commits would take minutes."""
    told, before = [], 0
    with service.ours("--ephemeral", "--max-sessions", "200000", "--max-models", "200000") as ours:
        for exponent in range(0, 4 if quick else 6):
            count = 10**exponent
            asked = {"from": before, "to": count, "create": True}
            p50 = service.ask("sessions", address=ours.address, **asked)["p50_us"]
            told.append({"sessions": count, "p50_us": p50, "megabytes": ours.megabytes()})
            say(f"  {told[-1]}")
            before = count
    return told
