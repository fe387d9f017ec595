// Networks and matrices to messages, and back. Numbers pass unchanged: as the bytes of their own type.
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type InlineModelSchema,
  type ModelSpec,
  type ModelSpecSchema,
  Activation as PbActivation,
  type LayerParameters as PbLayerParameters,
  Loss as PbLoss,
  Reduction,
  ReluAtZero,
} from "../gen/backprop/v1/model_pb.ts";
import { Dtype, type Tensor, type TensorSchema } from "../gen/backprop/v1/tensor_pb.ts";
import type { Matrix } from "../model/matrix.ts";
import type { Activation, Batch, LayerParameters, Loss, Network, Spec } from "../model/network.ts";

type TensorInit = MessageInitShape<typeof TensorSchema>;

const ACTIVATION: Readonly<Record<Activation, PbActivation>> = {
  linear: PbActivation.LINEAR,
  relu: PbActivation.RELU,
  leaky_relu: PbActivation.LEAKY_RELU,
  sigmoid: PbActivation.SIGMOID,
  tanh: PbActivation.TANH,
  gelu: PbActivation.GELU,
  silu: PbActivation.SILU,
};

const LOSS: Readonly<Record<Loss, PbLoss>> = {
  half_squared_error: PbLoss.HALF_SQUARED_ERROR,
  mean_squared_error: PbLoss.MEAN_SQUARED_ERROR,
  cross_entropy: PbLoss.CROSS_ENTROPY,
  binary_cross_entropy: PbLoss.BINARY_CROSS_ENTROPY,
};

/** A matrix as a tensor of two axes. */
export function tensorOf(matrix: Matrix): TensorInit {
  const values = Float64Array.from(matrix.data);
  return { shape: [matrix.rows, matrix.columns], raw: new Uint8Array(values.buffer), dtype: Dtype.FLOAT64 };
}

/** A row of numbers as a tensor of one axis. */
export function vectorOf(matrix: Matrix): TensorInit {
  return { ...tensorOf(matrix), shape: [matrix.rows * matrix.columns] };
}

/** A tensor of one or two axes as a matrix; one axis becomes a row. */
export function matrixFrom(tensor: Tensor): Matrix {
  const [first = 0, second] = tensor.shape;
  const [rows, columns] = second === undefined ? [1, first] : [first, second];
  return { rows, columns, data: entriesOf(tensor) };
}

function entriesOf({ raw, values, dtype }: Tensor): ArrayLike<number> {
  if (raw.length === 0) return values;
  // The bytes begin anywhere in the message: copied, they begin where an array of numbers can.
  const { buffer } = raw.slice();
  return dtype === Dtype.FLOAT32 ? new Float32Array(buffer) : new Float64Array(buffer);
}

/** A spec as a message. */
export function specMessage(spec: Spec): MessageInitShape<typeof ModelSpecSchema> {
  return {
    inputSize: spec.inputs,
    layers: spec.layers.map(({ units, activation, hasBias, leakySlope }) => ({
      units,
      activation: ACTIVATION[activation],
      bias: hasBias,
      ...(leakySlope !== undefined && { leakyReluSlope: leakySlope }),
    })),
    loss: LOSS[spec.loss],
    reduction: spec.reduction === "sum" ? Reduction.SUM : Reduction.MEAN,
    reluAtZero: spec.reluAtZero === 0 ? ReluAtZero.ZERO : ReluAtZero.ONE,
    compute: spec.compute === "float32" ? Dtype.FLOAT32 : Dtype.FLOAT64,
    optimizer: { case: "sgd", value: { learningRate: spec.learningRate } },
  };
}

/** The parameters of each layer as messages. */
export function parameterMessages(parameters: readonly LayerParameters[]) {
  return parameters.map(({ W, b }) => ({ weights: tensorOf(W), ...(b && { bias: vectorOf(b) }) }));
}

/** A network that is part of a request. */
export function inlineTarget(network: Network): {
  readonly case: "inline";
  readonly value: MessageInitShape<typeof InlineModelSchema>;
} {
  const value = { spec: specMessage(network.spec), parameters: parameterMessages(network.parameters) };
  return { case: "inline", value };
}

/** The fields of a request that are its batch. */
export function batchMessage({ x, answers }: Batch) {
  return {
    inputs: tensorOf(x),
    ...("targets" in answers ? { targets: tensorOf(answers.targets) } : { labels: [...answers.labels] }),
  };
}

/** A spec from the server's. */
export function specFrom(spec: ModelSpec): Spec {
  const { optimizer } = spec;
  return {
    inputs: spec.inputSize,
    layers: spec.layers.map((layer) => ({
      units: layer.units,
      activation: keyOf(ACTIVATION, layer.activation, "linear"),
      hasBias: layer.bias,
      ...(layer.activation === PbActivation.LEAKY_RELU && { leakySlope: layer.leakyReluSlope ?? 0.01 }),
    })),
    loss: keyOf(LOSS, spec.loss, "half_squared_error"),
    reduction: spec.reduction === Reduction.SUM ? "sum" : "mean",
    reluAtZero: spec.reluAtZero === ReluAtZero.ZERO ? 0 : 1,
    compute: spec.compute === Dtype.FLOAT32 ? "float32" : "float64",
    learningRate: optimizer.value?.learningRate ?? RATES[optimizer.case ?? "sgd"],
    ...trainerOf(spec),
  };
}

type OptimizerName = NonNullable<ModelSpec["optimizer"]["case"]>;

/** Learning rates where a spec has none. */
const RATES: Readonly<Record<OptimizerName, number>> = { sgd: 0.01, adam: 0.001, adamw: 0.001, rmsprop: 0.01 };

const TRAINERS: Readonly<Record<OptimizerName, string>> = {
  sgd: "SGD",
  adam: "Adam",
  adamw: "AdamW",
  rmsprop: "RMSProp",
};

function isChanging(schedule: ModelSpec["schedule"]): boolean {
  if (!schedule) return false;
  return schedule.warmupSteps > 0 || (schedule.kind.case !== undefined && schedule.kind.case !== "constant");
}

/** What a step of the model has beside the gradient and the learning rate. */
function trainerOf({ optimizer, schedule, clipNorm }: ModelSpec): Pick<Spec, "trainer"> {
  const name = TRAINERS[optimizer.case ?? "sgd"];
  const { momentum, weightDecay } = { momentum: 0, weightDecay: 0, ...optimizer.value };
  const parts = [
    momentum > 0 && "momentum",
    (weightDecay ?? 0) > 0 && "weight decay",
    isChanging(schedule) && "a schedule of the learning rate",
    clipNorm > 0 && "clipped gradients",
  ].filter((part) => part !== false);
  if (name === "SGD" && parts.length === 0) return {};
  return { trainer: parts.length > 0 ? `${name} with ${parts.join(" and ")}` : name };
}

/** Parameters from the server's. */
export function parametersFrom(parameters: readonly PbLayerParameters[]): readonly LayerParameters[] {
  return parameters.flatMap(({ weights, bias }) =>
    weights ? [{ W: matrixFrom(weights), ...(bias && { b: matrixFrom(bias) }) }] : [],
  );
}

function keyOf<K extends string, V>(table: Readonly<Record<K, V>>, value: V, otherwise: K): K {
  for (const key in table) if (table[key] === value) return key;
  return otherwise;
}
