// Models that the page trains: created, trained on a dataset, stopped, evaluated.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Dataset, DatasetRowsSchema } from "../gen/backprop/v1/dataset_service_pb.ts";
import { SplitPart } from "../gen/backprop/v1/dataset_service_pb.ts";
import { Activation, Loss, type Model, type ModelSpecSchema } from "../gen/backprop/v1/model_pb.ts";
import type { Run } from "../gen/backprop/v1/run_pb.ts";
import { type EvaluateResponse, type GetRunResponse, OnDisconnect } from "../gen/backprop/v1/training_service_pb.ts";
import { newId } from "./id.ts";
import { forgetSession, ownSession } from "./models.ts";
import { problemOf } from "./problem.ts";
import { read, repeated } from "./read.ts";
import { datasetService, sessionService, trainingService } from "./services.ts";

/** How a network is made and trained. */
export interface Plan {
  /** Units of the hidden layers. */
  readonly hidden: readonly number[];
  readonly activation: "relu" | "tanh" | "sigmoid";
  readonly optimizer: "sgd" | "adam";
  readonly learningRate: number;
  readonly epochs: number;
  readonly minibatch: number;
  readonly seed: bigint;
}

const ACTIVATIONS = { relu: Activation.RELU, tanh: Activation.TANH, sigmoid: Activation.SIGMOID } as const;

/** A fifth of the rows is held out, always the same. */
const SPLIT_SEED = 1n;

type Rows = MessageInitShape<typeof DatasetRowsSchema>;

function rowsOf(dataset: string, part: SplitPart): Rows {
  return {
    dataset,
    selection: { case: "split", value: { heldOutFraction: 0.2, seed: SPLIT_SEED, part } },
    standardize: true,
  };
}

/** Does `work` in the page's session, in a new one if that has expired. */
export async function inOwnSession<T>(work: (session: string) => Promise<T>): Promise<T> {
  const session = await ownSession();
  try {
    return await work(session);
  } catch (error) {
    if (!["NOT_FOUND", "DELETED", "NOT_YOURS"].includes(problemOf(error).reason)) throw error;
    forgetSession();
    return work(await ownSession());
  }
}

/** Describes a dataset. */
export async function datasetNamed(name: string, signal?: AbortSignal): Promise<Dataset | undefined> {
  return (await read((options) => datasetService.getDataset({ name }, options), signal)).dataset;
}

/** Creates a network for a dataset; returns its name. */
export async function createFor(dataset: Dataset, plan: Plan, session: string): Promise<string> {
  const requestId = newId();
  const request = { session, spec: specFor(dataset, plan), seed: plan.seed, requestId };
  const { model } = await read((options) => trainingService.createModel(request, options));
  return model?.name ?? "";
}

function specFor(dataset: Dataset, plan: Plan): MessageInitShape<typeof ModelSpecSchema> {
  const isRegression = dataset.targetColumns > 0;
  const hidden = plan.hidden.map((units) => ({ units, activation: ACTIVATIONS[plan.activation], bias: true }));
  const last = {
    units: isRegression ? dataset.targetColumns : dataset.classes,
    activation: Activation.LINEAR,
    bias: true,
  };
  const { learningRate } = plan;
  return {
    inputSize: dataset.features,
    layers: [...hidden, last],
    loss: isRegression ? Loss.HALF_SQUARED_ERROR : Loss.CROSS_ENTROPY,
    optimizer:
      plan.optimizer === "adam" ? { case: "adam", value: { learningRate } } : { case: "sgd", value: { learningRate } },
  };
}

/**
 * Starts a run, or continues the one with the same id, and returns when it has begun. The page hears of it by watching the
 * model; the run does not end when the page is closed.
 */
export async function startRun(model: string, dataset: string, plan: Plan, requestId: string): Promise<void> {
  const request = {
    model,
    dataset: rowsOf(dataset, SplitPart.TRAINING),
    epochs: plan.epochs,
    minibatchSize: plan.minibatch,
    shuffleSeed: plan.seed,
    requestId,
    onDisconnect: OnDisconnect.CONTINUE,
    metricsEvery: 1_000_000,
    heldOut: { dataset: rowsOf(dataset, SplitPart.HELD_OUT), everyEpochs: 1 },
  };
  await repeated(async () => {
    const abort = new AbortController();
    try {
      for await (const { event } of trainingService.trainBatch(request, { signal: abort.signal })) {
        if (event.case === "started") return;
      }
    } finally {
      abort.abort();
    }
  });
}

/** Stops the run in progress; returns it as it ended. */
export async function stopRun(model: string): Promise<Run | undefined> {
  return (await read((options) => trainingService.stopTraining({ model }, options))).run;
}

/** The latest runs of a model with their curves, the oldest first. */
export async function pastRuns(model: string, signal: AbortSignal): Promise<readonly GetRunResponse[]> {
  const { runs } = await read((options) => trainingService.listRuns({ model }, options), signal);
  const latest = runs.slice(0, 4).reverse();
  return Promise.all(latest.map(({ name }) => read((options) => trainingService.getRun({ name }, options), signal)));
}

/** The held-out rows, by true and predicted class. */
export function evaluateHeldOut(model: string, dataset: Dataset, signal?: AbortSignal): Promise<EvaluateResponse> {
  const request = {
    target: { case: "model" as const, value: model },
    dataset: rowsOf(dataset.name, SplitPart.HELD_OUT),
    confusionMatrix: dataset.classes > 0,
  };
  return read((options) => trainingService.evaluate(request, options), signal);
}

/** The models that the caller may see, of the sessions that it may list. */
export async function visibleModels(signal?: AbortSignal): Promise<readonly Model[]> {
  const { sessions } = await read((options) => sessionService.listSessions({ pageSize: 50 }, options), signal);
  const ofEach = sessions.map(async ({ name }) => {
    const { models } = await read(
      (options) => trainingService.listModels({ session: name, pageSize: 20 }, options),
      signal,
    );
    return models;
  });
  return (await Promise.all(ofEach)).flat();
}
