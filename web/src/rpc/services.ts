// The services of the server that sent this page, over gRPC-Web.
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { DatasetService } from "../gen/backprop/v1/dataset_service_pb.ts";
import { GradingService } from "../gen/backprop/v1/grading_service_pb.ts";
import { ServerService } from "../gen/backprop/v1/server_service_pb.ts";
import { SessionService } from "../gen/backprop/v1/session_service_pb.ts";
import { TrainingService } from "../gen/backprop/v1/training_service_pb.ts";
import { reached, unreached } from "./connection.ts";
import { token } from "./token.ts";

const withToken: Interceptor = (next) => (request) => {
  if (token.value) request.header.set("authorization", `Bearer ${token.value}`);
  return next(request);
};

/** Fetches, and tells a server that cannot be reached from one that answers with an error. */
const watchedFetch: typeof fetch = async (input, init) => {
  try {
    const response = await fetch(input, init);
    reached();
    return response;
  } catch (error) {
    if (init?.signal?.aborted || (error instanceof DOMException && error.name === "AbortError")) throw error;
    unreached();
    throw new ConnectError("the server does not answer", Code.Unavailable, undefined, undefined, error);
  }
};

const transport = createGrpcWebTransport({
  baseUrl: location.origin,
  fetch: watchedFetch,
  interceptors: [withToken],
});

export const trainingService = createClient(TrainingService, transport);
export const gradingService = createClient(GradingService, transport);
export const sessionService = createClient(SessionService, transport);
export const datasetService = createClient(DatasetService, transport);
export const serverService = createClient(ServerService, transport);
