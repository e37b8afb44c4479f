"""One sentence, character by character: the next character of each is learned, by Keras on elman's compiled core.

    KERAS_BACKEND=torch python examples/keras_layers.py

The model is Keras', its recurrent layer elman's: put `keras.layers.SimpleRNN` in its place and it runs without elman.
It is saved as hello.keras, with one batch and what the model says of it in hello.npz.
"""

import keras
import numpy as np

import elman.keras

sentence = "a recurrent network reads one character at a time and remembers what it has read."
symbols = sorted(set(sentence))
ids = np.array([symbols.index(character) for character in sentence])
one_hot = np.eye(len(symbols), dtype="float32")[ids][None]

keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((None, len(symbols))),
        elman.keras.SimpleRNN(100, return_sequences=True),
        keras.layers.TimeDistributed(keras.layers.Dense(len(symbols), activation="softmax")),
    ]
)
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
history = model.fit(one_hot[:, :-1], one_hot[:, 1:], epochs=60, verbose=0).history
for epoch in (0, 29, 59):
    print(f"epoch {epoch + 1}  loss {history['loss'][epoch]:.2f}  accuracy {history['accuracy'][epoch]:.2f}")
print(model.layers[0].explain())

model.save("hello.keras")
np.savez("hello.npz", x=one_hot, y=model.predict(one_hot, verbose=0))
