import keras, numpy as np

d = np.load("mnist_size.npz")
net = keras.Sequential([keras.Input((784,)), keras.layers.Dense(128, activation="relu"), keras.layers.Dense(10)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
net.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, metrics=["accuracy"])
net.fit(d["x_train"] / np.float32(255), d["y_train"], batch_size=128, epochs=5, verbose=0)
print("accuracy", net.evaluate(d["x_test"] / np.float32(255), d["y_test"], batch_size=1000, verbose=0)[1])
