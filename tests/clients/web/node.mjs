// grpc-js, the client of Node, over TLS:  node node.mjs PORT CA [TOKEN]
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const [port, ca, token] = process.argv.slice(2);
const protos = new URL("../../../proto", import.meta.url).pathname;
const definition = loader.loadSync("backprop/v1/training_service.proto", { includeDirs: [protos], enums: String, defaults: true, oneofs: true });
const { TrainingService } = grpc.loadPackageDefinition(definition).backprop.v1;
let credentials = grpc.credentials.createSsl(readFileSync(ca));
if (token) {
  const bearer = grpc.credentials.createFromMetadataGenerator((_, done) => {
    const metadata = new grpc.Metadata();
    metadata.set("authorization", `Bearer ${token}`);
    done(null, metadata);
  });
  credentials = grpc.credentials.combineChannelCredentials(credentials, bearer);
}
const client = new TrainingService(`localhost:${port}`, credentials);
const call = (method, request) =>
  new Promise((resolve, reject) => client[method](request, (error, reply) => (error ? reject(error) : resolve(reply))));

const { model } = await call("CreateModel", {
  spec: { inputSize: 2, layers: [{ units: 1 }], loss: "LOSS_MEAN_SQUARED_ERROR" },
  parameters: [{ weights: { shape: [1, 2], values: [1, 2] } }],
});
const batch = { inputs: { shape: [1, 2], values: [3, 4] }, targets: { shape: [1, 1], values: [10] } };
const gradients = await call("Gradients", { model: model.name, ...batch, include: ["QUANTITY_D_W"] });
// y = 11, so dW = (y − t) x with the half of the squared error, or twice that without; both are multiples of x.
const [first, second] = gradients.tensors[0].tensor.values;
assert.equal(first / second, 3 / 4);
const events = [];
for await (const event of client.TrainBatch({ model: model.name, ...batch, steps: 3 })) events.push(event.event);
assert.equal(events[0], "started");
assert.equal(events.at(-1), "completed");
await assert.rejects(call("Gradients", { model: "sessions/none/models/none", ...batch }), { code: token ? 7 : 5 });
console.log(`grpc-js: ${events.length} events of a run`);
client.close();
