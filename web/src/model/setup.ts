// A network and a batch as parameters of an address, and back:
// `net=4-3-2-1&act=relu,relu,linear&W1=…&x=1,2,3,4;-1,0,1,2&y=1;-1`, or `seed=1` in place of the weights, or `model=NAME`.
import { EXAMPLES } from "./examples.ts";
import { exact, type Matrix, readMatrix, writeMatrix } from "./matrix.ts";
import { ACTIVATIONS, type Batch, type Layer, type LayerParameters, LOSSES, type Spec, sizes } from "./network.ts";

/** Where the numbers of the network come from. */
export type Source =
  | { readonly kind: "exact"; readonly spec: Spec; readonly parameters: readonly LayerParameters[] }
  | { readonly kind: "seed"; readonly spec: Spec; readonly seed: bigint }
  | { readonly kind: "model"; readonly name: string };

/** What an address says: a network, and a batch unless one has to be made for it. */
export interface Setup {
  readonly source: Source;
  readonly batch?: Batch;
}

type Params = ReadonlyMap<string, string>;

/** The parameters of an address that make a network and a batch. */
export const SETUP_PARAM = /^(net|act|bias|loss|reduction|zero|compute|rate|seed|model|example|[Wb]\d+|x|y|labels)$/;

/** A parameter that cannot be read. */
export class UnreadableSetup extends Error {}

/** Reads the parameters of an address; without any, it is the first example. */
export function readSetup(given: Params): Setup {
  const params = withExample(given);
  const batch = readBatch(params);
  const model = params.get("model");
  if (model) return { source: { kind: "model", name: model }, ...(batch && { batch }) };
  const spec = readSpec(params);
  const seed = params.get("seed");
  if (seed !== undefined) {
    if (!/^-?\d{1,18}$/.test(seed)) throw new UnreadableSetup(`seed is “${seed}”: give a whole number`);
    return { source: { kind: "seed", spec, seed: BigInt(seed) }, ...(batch && { batch }) };
  }
  return { source: { kind: "exact", spec, parameters: readParameters(params, spec) }, ...(batch && { batch }) };
}

/** Writes a network with its numbers, and a batch; names that the result does not need are removed. */
export function writeSetup(spec: Spec, parameters: readonly LayerParameters[], batch: Batch): Record<string, string> {
  const numbers = parameters.flatMap(({ W, b }, index) => [
    [`W${index + 1}`, writeMatrix(W)],
    ...(b ? [[`b${index + 1}`, writeMatrix(b)]] : []),
  ]);
  return { ...writeSpec(spec), ...Object.fromEntries(numbers), ...writeBatch(batch) };
}

/** Writes a network without its numbers. */
export function writeSpec(spec: Spec): Record<string, string> {
  return {
    net: sizes(spec).join("-"),
    act: spec.layers.map(writeActivation).join(","),
    ...(spec.layers.some((layer) => layer.hasBias) && {
      bias: spec.layers.map((layer) => Number(layer.hasBias)).join(","),
    }),
    ...(spec.loss !== "half_squared_error" && { loss: spec.loss }),
    ...(spec.reduction !== "mean" && { reduction: spec.reduction }),
    ...(spec.reluAtZero !== 1 && { zero: String(spec.reluAtZero) }),
    ...(spec.compute !== "float64" && { compute: spec.compute }),
    rate: exact(spec.learningRate),
  };
}

/** Writes a batch. */
export function writeBatch({ x, answers }: Batch): Record<string, string> {
  const written = "targets" in answers ? { y: writeMatrix(answers.targets) } : { labels: answers.labels.join(",") };
  return { x: writeMatrix(x), ...written };
}

function withExample(params: Params): Params {
  const names = [...params.keys()];
  const name = params.get("example") ?? (names.some((key) => SETUP_PARAM.test(key)) ? undefined : "first");
  if (name === undefined) return params;
  const example = EXAMPLES.find((candidate) => candidate.name === name);
  if (!example) {
    throw new UnreadableSetup(`there is no example “${name}”: ${EXAMPLES.map((known) => known.name).join(", ")}`);
  }
  return new Map([...Object.entries(example.params), ...params]);
}

function readSpec(params: Params): Spec {
  const units = (params.get("net") ?? "").split("-").map(Number);
  if (units.length < 2 || !units.every((count) => Number.isInteger(count) && count > 0)) {
    throw new UnreadableSetup(`net is “${params.get("net") ?? ""}”: give the units of each layer, such as 4-3-2-1`);
  }
  const [inputs = 1, ...rest] = units;
  const activations = listOf(params, "act", rest.length);
  const biases = listOf(params, "bias", rest.length);
  const rate = Number(params.get("rate") ?? "0.1");
  if (!Number.isFinite(rate) || rate < 0) throw new UnreadableSetup("rate is the learning rate: give a number from 0");
  return {
    inputs,
    layers: rest.map((count, index) => ({
      units: count,
      ...readActivation(activations?.[index], index === rest.length - 1),
      hasBias: biases?.[index] === "1",
    })),
    loss: oneOf(params, "loss", LOSSES),
    reduction: oneOf(params, "reduction", ["mean", "sum"]),
    reluAtZero: params.get("zero") === "0" ? 0 : 1,
    compute: oneOf(params, "compute", ["float64", "float32"]),
    learningRate: rate,
  };
}

function readParameters(params: Params, spec: Spec): readonly LayerParameters[] {
  const units = sizes(spec);
  return spec.layers.map((layer, index) => {
    const W = matrixParam(params, `W${index + 1}`, layer.units, units[index] ?? 0);
    return layer.hasBias ? { W, b: matrixParam(params, `b${index + 1}`, 1, layer.units) } : { W };
  });
}

function readBatch(params: Params): Batch | undefined {
  const x = params.get("x");
  if (x === undefined) return undefined;
  const inputs = readMatrix(x);
  if (!inputs) throw new UnreadableSetup("x is no matrix: write rows as 1,2;3,4");
  const labels = params.get("labels");
  if (labels !== undefined) return { x: inputs, answers: { labels: labels.split(",").map(Number) } };
  const targets = readMatrix(params.get("y") ?? "");
  if (!targets) throw new UnreadableSetup("y is no matrix: write rows as 1;-1, or give labels");
  return { x: inputs, answers: { targets } };
}

function matrixParam(params: Params, name: string, rows: number, columns: number): Matrix {
  const matrix = readMatrix(params.get(name) ?? "");
  if (matrix?.rows !== rows || matrix.columns !== columns) {
    throw new UnreadableSetup(`${name} has to be ${rows} × ${columns} numbers, rows as 1,2;3,4`);
  }
  return matrix;
}

function listOf(params: Params, name: string, length: number): readonly string[] | undefined {
  const list = params.get(name)?.split(",");
  if (list && list.length !== length) throw new UnreadableSetup(`${name} needs ${length} entries, one for each layer`);
  return list;
}

/** "relu", or "leaky_relu:0.2" with the slope. */
function readActivation(text: string | undefined, isLast: boolean): Pick<Layer, "activation" | "leakySlope"> {
  if (!text) return { activation: isLast ? "linear" : "relu" };
  const [name, slope] = text.split(":");
  const activation = ACTIVATIONS.find((known) => known === name);
  if (!activation) throw new UnreadableSetup(`act has “${text}”: allowed are ${ACTIVATIONS.join(", ")}`);
  return { activation, ...(slope && { leakySlope: Number(slope) }) };
}

function writeActivation({ activation, leakySlope }: Layer): string {
  return leakySlope === undefined ? activation : `${activation}:${exact(leakySlope)}`;
}

/** The value of a parameter out of a list, whose first entry is the default. */
function oneOf<T extends string>(params: Params, name: string, allowed: readonly [T, ...T[]]): T {
  const value = params.get(name);
  const found = value === undefined ? allowed[0] : allowed.find((known) => known === value);
  if (!found) throw new UnreadableSetup(`${name} is “${value}”: allowed are ${allowed.join(", ")}`);
  return found;
}
