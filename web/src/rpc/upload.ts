// A dataset from the page. A browser cannot send a stream of messages over gRPC-Web, so it sends them as the server's JSON:
// one message a line.
import { create, fromJson, type JsonValue, type MessageInitShape, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { errorFromJson } from "@connectrpc/connect/protocol-connect";
import {
  CreateDatasetRequestSchema,
  CreateDatasetResponseSchema,
  type Dataset,
} from "../gen/backprop/v1/dataset_service_pb.ts";
import type { Samples } from "../model/csv.ts";
import { reached, unreached } from "./connection.ts";
import { token } from "./token.ts";

type Part = MessageInitShape<typeof CreateDatasetRequestSchema>;

const PATH = "/backprop.v1.DatasetService/CreateDataset";

/** Rows of one message; messages have a limit in bytes. */
const ENTRIES_PER_MESSAGE = 50_000;

/** Creates a dataset in a session. */
export async function uploadDataset(session: string, samples: Samples, signal?: AbortSignal): Promise<Dataset> {
  const body = `${partsOf(session, samples).map(line).join("\n")}\n`;
  const headers = {
    "content-type": "application/json",
    ...(token.value && { authorization: `Bearer ${token.value}` }),
  };
  let response: Response;
  try {
    response = await fetch(PATH, { method: "POST", headers, body, ...(signal && { signal }) });
  } catch (error) {
    if (signal?.aborted) throw error;
    unreached();
    throw new ConnectError("the server does not answer", Code.Unavailable, undefined, undefined, error);
  }
  reached();
  const reply = (await response.json()) as JsonValue;
  if (!response.ok) throw errorFromJson(reply, undefined, new ConnectError("the server refused", Code.Unknown));
  const { dataset } = fromJson(CreateDatasetResponseSchema, reply, { ignoreUnknownFields: true });
  if (!dataset) throw new Error("the reply has no dataset");
  return dataset;
}

function line(part: Part): string {
  return toJsonString(CreateDatasetRequestSchema, create(CreateDatasetRequestSchema, part));
}

function partsOf(session: string, samples: Samples): readonly Part[] {
  const { target, rows, features, x } = samples;
  const width = features.length;
  const described =
    target.kind === "classes" ? { classes: target.names.length, classNames: [...target.names] } : { targetColumns: 1 };
  const header = { session, rows: BigInt(rows), features: width, ...described };
  const parts: Part[] = [{ part: { case: "header", value: header } }];
  const piece = Math.max(1, Math.floor(ENTRIES_PER_MESSAGE / width));
  for (let from = 0; from < rows; from += piece) {
    const to = Math.min(rows, from + piece);
    const inputs = bytesOf(x.subarray(from * width, to * width));
    const answers =
      target.kind === "classes"
        ? { labels: target.labels.slice(from, to) }
        : { targets: bytesOf(target.y.subarray(from, to)) };
    parts.push({ part: { case: "rows", value: { inputs, ...answers } } });
  }
  return parts;
}

function bytesOf(values: Float64Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Float64Array.from(values).buffer);
}
