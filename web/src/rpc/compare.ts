// Gradients that the reader computed, compared with the server's.
import { type GradeGradientsResponse, TolerancePreset } from "../gen/backprop/v1/grading_service_pb.ts";
import { Access, type Model } from "../gen/backprop/v1/model_pb.ts";
import { Dtype } from "../gen/backprop/v1/tensor_pb.ts";
import type { Batch, Network } from "../model/network.ts";
import type { Pasted } from "../model/pasted.ts";
import type { GradientName } from "../model/quantity.ts";
import { batchMessage, inlineTarget } from "./convert.ts";
import { read } from "./read.ts";
import { gradingService, trainingService } from "./services.ts";

/** A tensor with the gradient that it is meant to be. */
export interface Submitted {
  readonly name: GradientName;
  readonly pasted: Pasted;
}

/** What is compared with: a network of the page, or a model of the server, which may show none of its numbers. */
export type Reference = { readonly network: Network } | { readonly model: string };

/** Compares. The server names what is wrong; it reveals no right entry. */
export function compareGradients(
  reference: Reference,
  batch: Batch,
  submitted: readonly Submitted[],
  tolerance: TolerancePreset,
  signal?: AbortSignal,
): Promise<GradeGradientsResponse> {
  const request = {
    target:
      "network" in reference ? inlineTarget(reference.network) : { case: "model" as const, value: reference.model },
    ...batchMessage(batch),
    submitted: submitted.map(({ name, pasted }) => ({ ...name, tensor: tensorOf(pasted) })),
    // A COMPARE_ONLY model keeps the tolerance that its creator chose.
    ...(tolerance !== TolerancePreset.UNSPECIFIED && { tolerance }),
  };
  return read((options) => gradingService.gradeGradients(request, options), signal);
}

function tensorOf({ matrix, axes }: Pasted) {
  const raw = new Uint8Array(Float64Array.from(matrix.data).buffer);
  const shape = axes === 2 ? [matrix.rows, matrix.columns] : [matrix.columns];
  return { shape, raw, dtype: Dtype.FLOAT64 };
}

/** Describes a model. */
export async function modelNamed(name: string, signal?: AbortSignal): Promise<Model | undefined> {
  return (await read((options) => trainingService.getModel({ name }, options), signal)).model;
}

/** Whether a model shows none of its numbers. */
export function isCompareOnly(model: Model): boolean {
  return model.access === Access.COMPARE_ONLY;
}
