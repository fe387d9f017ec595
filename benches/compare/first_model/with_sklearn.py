import numpy as np
from sklearn.neural_network import MLPClassifier

d = np.load("mnist_size.npz")
net = MLPClassifier((128,), learning_rate_init=1e-3, batch_size=128, max_iter=5, random_state=1)
net.fit(d["x_train"] / np.float32(255), d["y_train"])
print("accuracy", net.score(d["x_test"] / np.float32(255), d["y_test"]))
