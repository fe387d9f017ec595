// One step of the server's own optimizer, taken by a copy of the network that lives as long as the call.
import type { Batch, Network } from "../model/network.ts";
import { batchMessage, parameterMessages, parametersFrom, specMessage } from "./convert.ts";
import { newId } from "./id.ts";
import { read, repeated } from "./read.ts";
import { sessionService, trainingService } from "./services.ts";

/** The network after one step on the batch. */
export async function updated(network: Network, batch: Batch, signal?: AbortSignal): Promise<Network> {
  const create = { spec: specMessage(network.spec), parameters: parameterMessages(network.parameters) };
  const { model } = await read((options) => trainingService.createModel(create, options), signal);
  const name = model?.name ?? "";
  try {
    const options = signal ? { signal } : {};
    const step = { model: name, requestId: newId(), ...batchMessage(batch) };
    await repeated(async () => {
      for await (const _ of trainingService.trainBatch(step, options)) {
        // The weights are read below.
      }
    }, signal);
    const { parameters } = await read((o) => trainingService.getParameters({ model: name }, o), signal);
    return { ...network, parameters: parametersFrom(parameters) };
  } finally {
    const session = name.split("/models/")[0] ?? "";
    void sessionService.deleteSession({ name: session }).catch(() => undefined);
  }
}
