"""An RNN by hand: h-e-l-l is continued with e-l-l-o, and every number on the way is printed.

NumPy alone, a second to run. docs/rnn-by-hand.md explains these very lines one block at a time.
"""

import numpy as np

from elman import cells, reference

np.set_printoptions(precision=3, suppress=True, floatmode="fixed")

vocabulary = "helo"
ids = [vocabulary.index(symbol) for symbol in "hello"]
one_hot = np.eye(len(vocabulary))
x = one_hot[ids[:-1]]  # h e l l, what goes in, (T, V)
target = np.array(ids[1:])  # e l l o, what should come out, (T,)
for symbol, row in zip("hell", x, strict=True):
    print(symbol, row.astype(int))

print(cells.get("rnn").equation)
rng = np.random.default_rng(0)
params = reference.draw("rnn", input_size=4, hidden_size=3, rng=rng)
params["W_y"] = rng.uniform(-1, 1, (4, 3)) / np.sqrt(3)
params["b_y"] = np.zeros(4)
for name, value in params.items():
    print(f"{name:13} {value.shape}")

W_x, W_h = params["weight_ih_l0"], params["weight_hh_l0"]
b = params["bias_ih_l0"] + params["bias_hh_l0"]
W_y, b_y = params["W_y"], params["b_y"]


def softmax(logits):
    """Scores to probabilities, row by row."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


h = np.zeros((5, 3))  # h[0] is the state before the first symbol; row t + 1 is the state after symbol t
for t in range(4):
    h[t + 1] = np.tanh(W_x @ x[t] + W_h @ h[t] + b)

logits = h[1:] @ W_y.T + b_y
probabilities = softmax(logits)
for t in range(4):
    best = vocabulary[logits[t].argmax()]
    print("hell"[t], "h =", h[t + 1], "logits =", logits[t], "best:", best, "wanted:", "ello"[t])

loss = -np.log(probabilities[range(4), target]).mean()
print(f"loss {loss:.3f}")

output, state = reference.forward("rnn", params, x[None])
print(np.abs(output[0] - h[1:]).max() < 1e-12)

d_logits = (probabilities - one_hot[target]) / 4
grads = {name: np.zeros_like(value) for name, value in params.items()}
d_h = np.zeros(3)  # what the steps to the right ask of h
for t in reversed(range(4)):
    grads["W_y"] += np.outer(d_logits[t], h[t + 1])
    grads["b_y"] += d_logits[t]
    d_h += W_y.T @ d_logits[t]
    d_sum = d_h * (1 - h[t + 1] ** 2)  # through tanh
    grads["weight_ih_l0"] += np.outer(d_sum, x[t])
    grads["weight_hh_l0"] += np.outer(d_sum, h[t])
    grads["bias_ih_l0"] += d_sum
    grads["bias_hh_l0"] += d_sum
    d_h = W_h.T @ d_sum  # to the step on the left
print("W_x", grads["weight_ih_l0"], "W_h", grads["weight_hh_l0"], sep="\n")

by_reference = reference.backward("rnn", params, x[None], grad_output=(d_logits @ W_y)[None])
print(all(np.abs(by_reference.params[name] - grads[name]).max() < 1e-12 for name in by_reference.params))


def loss_and_gradients(params):
    """Mean cross-entropy in nats of e l l o after h e l l, its gradients, and the probabilities."""
    output, _ = reference.forward("rnn", params, x[None])
    logits = output[0] @ params["W_y"].T + params["b_y"]
    probabilities = softmax(logits)
    loss = -np.log(probabilities[range(4), target]).mean()
    d_logits = (probabilities - one_hot[target]) / 4
    grads = reference.backward("rnn", params, x[None], grad_output=(d_logits @ params["W_y"])[None]).params
    grads |= {"W_y": d_logits.T @ output[0], "b_y": d_logits.sum(axis=0)}
    return loss, grads, probabilities


def slope(name, index, step=1e-5):
    """How the loss changes with one number of one parameter, by trying."""
    changed = {sign: {n: value.copy() for n, value in params.items()} for sign in (1, -1)}
    for sign, tried in changed.items():
        tried[name][index] += sign * step
    return (loss_and_gradients(changed[1])[0] - loss_and_gradients(changed[-1])[0]) / (2 * step)


_, grads, _ = loss_and_gradients(params)
differences = [
    abs(slope(name, index) - grads[name][index])
    for name in params
    for index in np.ndindex(params[name].shape)
]
print(len(differences), "numbers checked, all within 1e-9:", max(differences) < 1e-9)


def train(params, fixed=()):
    """200 steps downhill; parameters named in `fixed` stay as they are."""
    for step in range(201):
        loss, grads, probabilities = loss_and_gradients(params)
        if step % 40 == 0:
            says = "".join(vocabulary[best] for best in probabilities.argmax(axis=1))
            print(f"step {step:3}  loss {loss:.3f}  h e l l -> {says}")
        params = {n: value if n in fixed else value - 0.5 * grads[n] for n, value in params.items()}
    return params


trained = train(params)

output, _ = reference.forward("rnn", trained, x[None])
logits = output[0] @ trained["W_y"].T + trained["b_y"]
probabilities = softmax(logits)
for t in range(4):
    print("hell"[t], "h =", output[0, t], "logits =", logits[t], "p =", probabilities[t])

symbol, state, text = "h", None, "h"
while len(text) < 5:
    output, state = reference.forward("rnn", trained, one_hot[[[vocabulary.index(symbol)]]], state)
    symbol = vocabulary[(output[0, 0] @ trained["W_y"].T + trained["b_y"]).argmax()]
    text += symbol
print(text)

forgetful = train({**params, "weight_hh_l0": np.zeros((3, 3))}, fixed=["weight_hh_l0"])
