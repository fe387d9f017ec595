import backpropd as bp, numpy as np

d = np.load("mnist_size.npz")
lab = bp.local()
net = lab.model([784, 128, 10], loss="cross_entropy", optimizer="adam", learning_rate=1e-3, dtype="float32", init="he_uniform", bias=True, seed=1)
data = lab.dataset(d["x_train"] / np.float32(255), d["y_train"])
net.fit(data, epochs=5, batch_size=128, shuffle_seed=1)
print("accuracy", net.evaluate(d["x_test"] / np.float32(255), d["y_test"]).accuracy)
