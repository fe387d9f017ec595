import numpy as np, torch
from torch import nn

d = np.load("mnist_size.npz")
x, y = torch.from_numpy(d["x_train"] / np.float32(255)), torch.from_numpy(d["y_train"])
net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
optimizer, loss = torch.optim.Adam(net.parameters(), 1e-3), nn.CrossEntropyLoss()
for epoch in range(5):
    for rows in torch.randperm(len(x)).split(128):
        optimizer.zero_grad()
        loss(net(x[rows]), y[rows]).backward()
        optimizer.step()
with torch.no_grad():
    f = net(torch.from_numpy(d["x_test"] / np.float32(255)))
print("accuracy", (f.argmax(1).numpy() == d["y_test"]).mean())
