// What the browser runs: connect-web on gRPC-Web and on Connect's JSON, with messages made from the descriptors.
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";

globalThis.play = async (descriptors, transport, token) => {
  const bytes = Uint8Array.from(atob(descriptors), (character) => character.charCodeAt(0));
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes));
  const make = transport === "grpc-web" ? createGrpcWebTransport : createConnectTransport;
  const bearer = (next) => (request) => {
    if (token) request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const client = createClient(
    registry.getService("backprop.v1.TrainingService"),
    make({ baseUrl: location.origin, interceptors: [bearer] }),
  );
  const { model } = await client.createModel({
    spec: { inputSize: 2, layers: [{ units: 1 }], loss: 1 },
    parameters: [{ weights: { shape: [1, 2], values: [1, 2] } }],
  });
  const batch = { inputs: { shape: [1, 2], values: [3, 4] }, targets: { shape: [1, 1], values: [10] } };
  const gradients = await client.gradients({ target: { case: "model", value: model.name }, ...batch });
  const events = [];
  // Connect's streams are enveloped; NDJSON is for curl, and gRPC-Web is what a page uses.
  if (transport === "grpc-web") {
    for await (const event of client.trainBatch({ model: model.name, ...batch, steps: 3 })) events.push(event.event.case);
  }
  let refusal;
  try {
    await client.gradients({ target: { case: "model", value: "Not A Name" }, ...batch });
  } catch (error) {
    refusal = { code: error.code, message: error.rawMessage, details: error.details.map((detail) => detail.type) };
  }
  return { loss: gradients.loss, events, refusal };
};
