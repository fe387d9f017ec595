// The network that all views show, its batch, and the server's pass over them. The address says which; the numbers of a
// small network are in it, so that a link carries every edit.
import { computed, effect, signal, batch as together } from "@preact/signals";
import type { Batch, Network } from "../model/network.ts";
import { parameterCount, type Spec } from "../model/network.ts";
import type { Pass } from "../model/pass.ts";
import { readSetup, SETUP_PARAM, type Setup, UnreadableSetup, writeSetup, writeSpec } from "../model/setup.ts";
import { returns } from "../rpc/connection.ts";
import { seededNetwork, storedNetwork } from "../rpc/models.ts";
import { computePass } from "../rpc/pass.ts";
import { inputProblem, isAborted, type Problem, problemOf } from "../rpc/problem.ts";
import { token } from "../rpc/token.ts";
import { type Changes, place, setParams } from "./address.ts";

/** A network and the batch that it is shown with. */
export interface Subject {
  readonly network: Network;
  readonly batch: Batch;
}

/** What the views show; undefined until it is loaded. */
export const subject = signal<Subject | undefined>(undefined);

/** The server's pass over `subject`; undefined until it is there. A pass that is being replaced stays until then. */
export const pass = signal<Pass | undefined>(undefined);

/** What keeps the network or its pass from being shown. */
export const subjectProblem = signal<Problem | undefined>(undefined);

/** A link holds so many numbers, parameters and inputs together; more are too long for an address. */
export const MOST_IN_ADDRESS = 400;

/** Whether the network was changed and is too large for the link, which then shows it as it was before. */
export const isBeyondLink = signal(false);

/** The parameters of the address that make the network, as one text, so that other parameters do not load it again. */
const setupKey = computed(() => keyOf(place.value.params));

function keyOf(params: ReadonlyMap<string, string>): string {
  return JSON.stringify([...params].filter(([name]) => SETUP_PARAM.test(name)).sort());
}

/** The key of what `show` wrote into the address itself: it is shown already. */
let shownKey: string | undefined;

effect(() => {
  void returns.value;
  void token.value;
  const key = setupKey.value;
  if (key === shownKey && subject.peek()) return;
  const abort = new AbortController();
  shownKey = key;
  void load(place.peek().params, abort.signal);
  return () => abort.abort();
});

async function load(params: ReadonlyMap<string, string>, signal: AbortSignal): Promise<void> {
  try {
    const setup = readSetup(params);
    const network = await networkOf(setup, signal);
    if (signal.aborted) return;
    together(() => {
      subjectProblem.value = undefined;
      pass.value = undefined;
      isBeyondLink.value = false;
      subject.value = { network, batch: setup.batch ?? batchFor(network.spec) };
    });
  } catch (error) {
    if (signal.aborted || isAborted(error)) return;
    shownKey = undefined;
    const isInput = error instanceof UnreadableSetup;
    subjectProblem.value = isInput ? inputProblem("This link cannot be read.", error.message) : problemOf(error);
  }
}

async function networkOf({ source }: Setup, signal: AbortSignal): Promise<Network> {
  switch (source.kind) {
    case "exact":
      return source;
    case "seed":
      return seededNetwork(source.spec, source.seed, signal);
    case "model":
      return storedNetwork(source.name, signal);
  }
}

/** A first batch for a network that came without one: two samples of small whole numbers, targets of the first class. */
function batchFor(spec: Spec): Batch {
  const outputs = spec.layers.at(-1)?.units ?? 1;
  const x = {
    rows: 2,
    columns: spec.inputs,
    data: Array.from({ length: 2 * spec.inputs }, (_, index) => (index % 5) - 2),
  };
  if (spec.loss === "cross_entropy") return { x, answers: { labels: [0, Math.min(1, outputs - 1)] } };
  return {
    x,
    answers: { targets: { rows: 2, columns: outputs, data: Array.from({ length: 2 * outputs }, (_, i) => i % 2) } },
  };
}

effect(() => {
  void returns.value;
  const shown = subject.value;
  if (!shown) return;
  const abort = new AbortController();
  computePass(shown.network, shown.batch, abort.signal).then(
    (computed) => {
      if (abort.signal.aborted) return;
      together(() => {
        pass.value = computed;
        subjectProblem.value = undefined;
      });
    },
    (error: unknown) => {
      if (!abort.signal.aborted && !isAborted(error)) subjectProblem.value = problemOf(error);
    },
  );
  return () => abort.abort();
});

/** Shows another network or batch, and writes it into the address; one that is too large for that sets `isBeyondLink`. */
export function show(next: Subject, options: { readonly remember?: boolean } = {}): void {
  const { network, batch } = next;
  together(() => {
    isBeyondLink.value = parameterCount(network.spec) + batch.x.data.length > MOST_IN_ADDRESS;
    if (!isBeyondLink.value) {
      const written = writeSetup(network.spec, network.parameters, batch);
      const changes: Changes = { ...clearedSetup(), ...written };
      shownKey = keyOf(new Map(Object.entries(written)));
      setParams(changes, options);
    }
    subject.value = next;
  });
}

/** Removes the current network from the address, for another one. */
export function clearedSetup(): Changes {
  const names = [...place.peek().params.keys()].filter((name) => SETUP_PARAM.test(name));
  return Object.fromEntries(names.map((name) => [name, undefined]));
}

/** Goes to the network of a spec with the weights of a seed. */
export function showSeeded(spec: Spec, seed: bigint): void {
  setParams({ ...clearedSetup(), ...writeSpec(spec), seed: String(seed) }, { remember: true });
}
