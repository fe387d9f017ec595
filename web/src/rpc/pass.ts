// Gradients: the server's forward and backward pass of a network that is part of the request.

import { TensorEncoding } from "../gen/backprop/v1/tensor_pb.ts";
import { type GradientsResponse, Quantity as Pb } from "../gen/backprop/v1/training_service_pb.ts";
import type { Matrix } from "../model/matrix.ts";
import type { Batch, Network } from "../model/network.ts";
import type { Pass, Quantity } from "../model/pass.ts";
import { batchMessage, inlineTarget, matrixFrom } from "./convert.ts";
import { read } from "./read.ts";
import { trainingService } from "./services.ts";

/** A quantity as the protocol names it. */
export const QUANTITY: Readonly<Record<Quantity, Pb>> = {
  z: Pb.Z,
  h: Pb.H,
  dW: Pb.D_W,
  db: Pb.D_B,
  dz: Pb.D_Z,
  dh: Pb.D_H,
  dx: Pb.D_X,
  delta: Pb.DELTA,
  y: Pb.Y,
  loss: Pb.LOSS_PER_SAMPLE,
};

/** What the largest network that the server takes can answer: 64 layers of 64 × 64 weights are 2 MB. */
const REPLY_BYTES = 32 << 20;

/** Computes every quantity of a pass. */
export async function computePass(network: Network, batch: Batch, signal?: AbortSignal): Promise<Pass> {
  const request = {
    target: inlineTarget(network),
    ...batchMessage(batch),
    include: Object.values(QUANTITY),
    encoding: TensorEncoding.RAW,
    maxReplyBytes: REPLY_BYTES,
  };
  const response = await read((options) => trainingService.gradients(request, options), signal);
  return passFrom(response, batch);
}

/** Computes the loss alone, with the bits that a pass has. */
export async function computeLoss(network: Network, batch: Batch, signal?: AbortSignal): Promise<number> {
  const include = [Pb.LOSS_PER_SAMPLE];
  const request = { target: inlineTarget(network), ...batchMessage(batch), include };
  const response = await read((options) => trainingService.gradients(request, options), signal);
  return response.loss;
}

function passFrom(response: GradientsResponse, batch: Batch): Pass {
  const matrices = new Map<string, Matrix>();
  for (const { quantity, layer, tensor } of response.tensors) {
    if (tensor) matrices.set(`${quantity} ${layer}`, matrixFrom(tensor));
  }
  return {
    loss: response.loss,
    samples: response.batchSize,
    ...(response.accuracy !== undefined && { accuracy: response.accuracy }),
    get: (quantity, layer) =>
      quantity === "h" && layer === 0 ? batch.x : matrices.get(`${QUANTITY[quantity]} ${layer}`),
  };
}
