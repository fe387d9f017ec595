"""The results as one markdown report, each row beside its target."""

from engine import best, short

CALLED = ("numpy", "jax", "torch-foreach", "torch-fused", "torch-compile")
NAMES = {
    "numpy": "numpy",
    "jax": "JAX",
    "jax-scan": "JAX scan",
    "torch-foreach": "PyTorch",
    "torch-fused": "PyTorch",
    "torch-compile": "torch.compile",
}

# By network: the lead over the fastest peer, the share of the bare products, the longest step in seconds.
TARGETS = {
    "4-3-2-1": (30, None, 0.3e-6),
    "64-32-10": (4, None, None),
    "784-128-10": (1.5, 0.80, None),
    "784-1024-1024-10": (1, 0.92, None),
    "2048-2048-2048-2048": (1, 0.92, None),
}

# In place of what a row is compared with.
NOTHING = {"what": "", "figure": "", "target": "", "met": True}


def markdown(results):
    lines = [about(results["machine"]), ""]
    if results["engine"]:
        lines += engine_table(results["engine"]) + [""]
    if results["service"]:
        lines += service_table(results["service"]) + [""]
    return "\n".join(lines)


def about(machine):
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"{machine['cpu']}, {machine['cores']} cores, {machine['os']}; {versions}; commit {machine['commit'][:7]}"


def engine_table(rows):
    columns = ["a training step of", "numpy", "JAX", "PyTorch", "torch.compile", "JAX scan", "here, 1 t", "here, 2 t"]
    columns += ["products, 1 t", "products, 2 t", "fastest peer / here", "products / here", "target"]
    table = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in rows:
        seconds = row["seconds"]
        eager = min(("torch-foreach", "torch-fused"), key=lambda kind: best(seconds[kind])[0])
        peers = ("numpy", "jax", eager, "torch-compile", "jax-scan")
        cells = [row["name"]] + [named(kind, seconds[kind]) for kind in peers]
        cells += [short(seconds[kind][threads]) for kind in ("ours", "products") for threads in ("1", "2")]
        table.append("| " + " | ".join(cells + ratios(row)) + " |")
    note = "Peers with one and with two threads, the faster one shown; PyTorch with the faster of its optimizers' "
    note += "foreach and fused forms. JAX scan takes many steps in one call, for which nobody may look at them. "
    note += "Products are the step's bare matrix products by faer."
    return table + ["", note]


def named(kind, by_threads):
    seconds, threads = best(by_threads)
    form = f", {kind.split('-')[1]}" if kind in ("torch-foreach", "torch-fused") else ""
    return f"{short(seconds)} ({threads} t{form})"


def ratios(row):
    """The lead over the fastest peer, the share of the products, and whether the targets are met."""
    seconds = row["seconds"]
    ours = best(seconds["ours"])[0]
    lead = {kind: best(seconds[kind])[0] / ours for kind in seconds if kind in NAMES}
    called = min(CALLED, key=lead.get)
    fastest = min(lead, key=lead.get)
    share = best(seconds["products"])[0] / ours
    shown = f"{lead[called]:.2f} × ({NAMES[called]})"
    if fastest != called:
        shown += f", {lead[fastest]:.2f} × ({NAMES[fastest]})"
    # A peer is a peer, in whatever number of calls.
    wanted, least, longest = TARGETS[row["name"].split(",")[0]]
    adam = row["work"]["adam"]
    judged = [judge(f"{'>' if wanted == 1 else '≥'} {wanted} ×", lead[fastest] > wanted)]
    if lead[fastest] <= wanted < lead[called]:
        judged.append("met by call")
    if least and not adam:
        judged.append(judge(f"≥ {least:.0%}", share >= least))
    if longest:
        judged.append(judge(f"≤ {short(longest)}", ours <= longest))
    return [shown, f"{share:.0%}", ", ".join(judged)]


def judge(target, met):
    return f"{target} {'met' if met else '**not met**'}"


def service_table(rows):
    table = ["| the service | here | compared | figure | target |", "|---|---|---|---|---|"]
    for row in rows:
        name, shown = row["name"], row["shown"]
        for compared in row["comparisons"] or [NOTHING]:
            target = judge(compared["target"], compared["met"]) if compared["target"] else ""
            table.append(f"| {name} | {shown} | {compared['what']} | {compared['figure']} | {target} |")
            name = shown = ""
    return table
