// Models that the server stores: those that a link names, and short-lived ones of the page's own session.
import type { Network, Spec } from "../model/network.ts";
import { parametersFrom, specFrom, specMessage } from "./convert.ts";
import { read } from "./read.ts";
import { sessionService, trainingService } from "./services.ts";

const KEY = "backpropd.session";

/**
 * The name of the page's own session, made when it is first needed and kept for the tab. It expires when it is not used;
 * `forget` is what to do then.
 */
export async function ownSession(signal?: AbortSignal): Promise<string> {
  const known = sessionStorage.getItem(KEY);
  if (known) return known;
  const { session } = await read((options) => sessionService.createSession({}, options), signal);
  const name = session?.name ?? "";
  sessionStorage.setItem(KEY, name);
  return name;
}

/** Forgets the page's session: the server no longer has it. */
export function forgetSession(): void {
  sessionStorage.removeItem(KEY);
}

/** A stored model as a network; changes of it on the page do not change the model. */
export async function storedNetwork(name: string, signal?: AbortSignal): Promise<Network> {
  const [model, parameters] = await Promise.all([
    read((options) => trainingService.getModel({ name }, options), signal),
    read((options) => trainingService.getParameters({ model: name, maxReplyBytes: 32 << 20 }, options), signal),
  ]);
  const spec = model.model?.spec;
  if (!spec) throw new Error(`the server described ${name} without a spec`);
  return { spec: specFrom(spec), parameters: parametersFrom(parameters.parameters) };
}

/** The network that a spec and a seed make, with the weights that every client gets for them. */
export async function seededNetwork(spec: Spec, seed: bigint, signal?: AbortSignal): Promise<Network> {
  const request = { spec: specMessage(spec), seed };
  const { model } = await read((options) => trainingService.createModel(request, options), signal);
  const name = model?.name ?? "";
  try {
    return { ...(await storedNetwork(name, signal)), spec };
  } finally {
    // The model has its own new session; the numbers are all that was wanted of it.
    const session = name.split("/models/")[0] ?? "";
    void sessionService.deleteSession({ name: session }).catch(() => undefined);
  }
}
