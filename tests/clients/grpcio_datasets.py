#!/usr/bin/env python3
"""Datasets from Python: python tests/clients/grpcio_datasets.py HOST:PORT

Uploads numpy arrays in pieces, trains on rows of the dataset and on the same rows sent, evaluates, deletes. Needs the
packages of requirements.txt; prints a line for each check and exits with 1 at the first that fails.
"""

import importlib
import itertools
import sys
import tempfile

import grpc
import numpy as np
from grpcio_client import CALL_SECONDS, Client, Failed, check, generate_stubs

ROWS, FEATURES, CLASSES = 3_000, 20, 3
PIECE_ROWS = 700


def samples():
    """Points, and the class of a linear map of each: there is something to learn."""
    random = np.random.default_rng(1)
    inputs = random.standard_normal((ROWS, FEATURES)).astype("<f4")
    labels = inputs.dot(random.standard_normal((FEATURES, CLASSES))).argmax(1).astype(np.int32)
    return inputs, labels


class Datasets:
    """The stubs and messages of DatasetService, and a session."""

    def __init__(self, client):
        self.client = client
        self.pb = importlib.import_module("backprop.v1.dataset_service_pb2")
        module = importlib.import_module("backprop.v1.dataset_service_pb2_grpc")
        self.stub = module.DatasetServiceStub(client.channel)

    def header(self, name, **fields):
        return self.pb.DatasetHeader(
            session=self.client.session,
            dataset_id=name,
            rows=ROWS,
            features=FEATURES,
            classes=CLASSES,
            dtype="DTYPE_FLOAT32",
            **fields,
        )

    def pieces(self, inputs, labels):
        for first in range(0, len(inputs), PIECE_ROWS):
            rows = slice(first, first + PIECE_ROWS)
            piece = self.pb.DatasetPiece(inputs=inputs[rows].tobytes(), labels=labels[rows].tolist())
            yield self.pb.CreateDatasetRequest(rows=piece)

    def upload(self, header, inputs, labels):
        first = self.pb.CreateDatasetRequest(header=header)
        messages = itertools.chain([first], self.pieces(inputs, labels))
        return self.stub.CreateDataset(messages, timeout=CALL_SECONDS).dataset

    def refused(self, call):
        """The code and the message of a call that must fail."""
        try:
            call()
        except grpc.RpcError as error:
            return error.code(), error.details()
        raise Failed("the call was accepted")


def check_upload(datasets, inputs, labels):
    header = datasets.header("points", request_id="once")
    made = datasets.upload(header, inputs, labels)
    check("an upload in pieces has its rows", (made.rows, made.features, made.classes) == (ROWS, FEATURES, CLASSES), made)
    check("a repeated upload returns it", datasets.upload(header, inputs, labels) == made)
    request = datasets.pb.GetDatasetRequest(name=made.name)
    check("GetDataset describes it", datasets.stub.GetDataset(request, timeout=CALL_SECONDS).dataset == made)
    request = datasets.pb.ListDatasetsRequest(session=datasets.client.session)
    listed = datasets.stub.ListDatasets(request, timeout=CALL_SECONDS).datasets
    check("ListDatasets lists it", [(one.name, one.digest) for one in listed] == [(made.name, made.digest)], listed)
    return made


def check_bad_upload(datasets, inputs, labels):
    broken = inputs.copy()
    broken[1_234, 5] = np.nan
    code, message = datasets.refused(lambda: datasets.upload(datasets.header("broken"), broken, labels))
    check("a NaN is INVALID_ARGUMENT", code is grpc.StatusCode.INVALID_ARGUMENT, code)
    check("and named by its row and column, from 1", "row 1235, column 6" in message, message)
    short = datasets.refused(lambda: datasets.upload(datasets.header("broken"), inputs[:10], labels[:10]))
    check("missing rows are INVALID_ARGUMENT", short[0] is grpc.StatusCode.INVALID_ARGUMENT, short)
    request = datasets.pb.GetDatasetRequest(name=f"{datasets.client.session}/datasets/broken")
    code, _ = datasets.refused(lambda: datasets.stub.GetDataset(request, timeout=CALL_SECONDS))
    check("neither left anything", code is grpc.StatusCode.NOT_FOUND, code)


def model(client):
    pb = client.model_pb
    spec = pb.ModelSpec(
        input_size=FEATURES,
        layers=[pb.Layer(units=16, activation="ACTIVATION_RELU", bias=True), pb.Layer(units=CLASSES, bias=True)],
        loss="LOSS_CROSS_ENTROPY",
        compute="DTYPE_FLOAT32",
        sgd=pb.Sgd(learning_rate=0.1),
    )
    request = client.training_pb.CreateModelRequest(session=client.session, spec=spec, seed=1)
    return client.training.CreateModel(request, timeout=CALL_SECONDS).model.name


def train(client, request):
    """The held-out figures and the end of a run."""
    figures, completed = [], None
    for event in client.training.TrainBatch(request, timeout=CALL_SECONDS):
        if event.HasField("held_out"):
            figures.append(event.held_out)
        elif event.HasField("completed"):
            completed = event.completed
    return figures, completed


def check_training(datasets, made, inputs, labels):
    client, pb = datasets.client, datasets.client.training_pb
    raw = client.tensor_pb.Tensor(shape=inputs.shape, raw=inputs.tobytes(), dtype="DTYPE_FLOAT32")
    plan = {"epochs": 2, "minibatch_size": 50, "shuffle_seed": 7}
    rows = datasets.pb.DatasetRows(dataset=made.name)
    named = train(client, pb.TrainBatchRequest(model=model(client), dataset=rows, **plan))[1]
    sent = train(client, pb.TrainBatchRequest(model=model(client), inputs=raw, labels=labels, **plan))[1]
    check("a run on a dataset has the bits of a run on its rows", named.weights_digest == sent.weights_digest)

    def part(which):
        split = datasets.pb.Split(held_out_fraction=0.2, seed=3, part=which)
        return datasets.pb.DatasetRows(dataset=made.name, split=split)

    trained = model(client)
    request = pb.TrainBatchRequest(
        model=trained,
        dataset=part("SPLIT_PART_TRAINING"),
        held_out=pb.HeldOut(dataset=part("SPLIT_PART_HELD_OUT"), patience=3, keep_best=True),
        epochs=30,
        minibatch_size=50,
        shuffle_seed=7,
    )
    figures, completed = train(client, request)
    check("held-out figures come each epoch", [one.epoch for one in figures] == list(range(1, len(figures) + 1)))
    check("it learns", max(one.accuracy for one in figures) > 0.9, [one.accuracy for one in figures])
    best = next(one for one in figures if one.step == completed.best_step)

    request = pb.EvaluateRequest(model=trained, dataset=part("SPLIT_PART_HELD_OUT"), confusion_matrix=True)
    evaluated = client.training.Evaluate(request, timeout=CALL_SECONDS)
    check("the model has its best weights", evaluated.loss == best.loss, (evaluated.loss, best.loss))
    runs = client.training.ListRuns(pb.ListRunsRequest(model=trained), timeout=CALL_SECONDS).runs
    check("ListRuns has the figures of the best", runs[0].best_held_out == best, runs[0])


def check_deletion(datasets, made):
    request = datasets.pb.DeleteDatasetRequest(name=made.name)
    datasets.stub.DeleteDataset(request, timeout=CALL_SECONDS)
    listed = datasets.pb.ListDatasetsRequest(session=datasets.client.session)
    check("it is deleted", not datasets.stub.ListDatasets(listed, timeout=CALL_SECONDS).datasets)


def main(address):
    with tempfile.TemporaryDirectory() as stubs:
        generate_stubs(stubs)
        client = Client(address)
        try:
            inputs, labels = samples()
            datasets = Datasets(client)
            made = check_upload(datasets, inputs, labels)
            check_bad_upload(datasets, inputs, labels)
            check_training(datasets, made, inputs, labels)
            check_deletion(datasets, made)
        except Failed as failed:
            print(f"FAIL {failed}", flush=True)
            raise SystemExit(1) from None
        finally:
            client.close()
    print("all checks passed")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python tests/clients/grpcio_datasets.py HOST:PORT")
    main(sys.argv[1])
