# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Distil a table, and frozen embeddings
#
# Distillation is not about pixels. Most data in the world are rows of numbers: tables of measurements, or *embeddings*, the vectors that a
# frozen network makes of images, texts or molecules. This notebook distils one of each: the chemical analyses of 178 wines into two
# made-up wines of every cultivar, and features of handwritten digits into a few vectors a digit. Both come with scikit-learn.

# %%
import numpy as np
from sklearn.datasets import load_digits, load_wine

from condense import distill, evaluate, load_data, show, show_table

# %% tags=["parameters"]
ipc = 2  # the budget: rows a class
steps = 500  # of distillation
net = "mlp"  # the network that distillation looks through, and that learns from the result
seeds = 3  # fresh networks behind every score
epochs = None  # of training each of them; None leaves it to the recipe
out = "runs/notebook-tables"  # folder of this experiment

# %% [markdown]
# ## A table
#
# A table is a CSV file: names of the columns in the first line, then a row a line. One column is the label. Columns of numbers are
# standardised by their mean and spread over the training rows; columns of text become one number for each of their categories. Every cell
# must hold a value, and a line that does not is named. Without a file of test rows, a fifth of the rows is set aside for the test, the same
# fifth whatever the seed of a run.

# %%
wine = load_wine()
rows = np.column_stack([wine.data.astype(str), wine.target_names[wine.target]])
names = ",".join([*wine.feature_names, "cultivar"])
np.savetxt("wine.csv", rows, fmt="%s", delimiter=",", header=names, comments="")

# %%
data = load_data("csv:wine.csv?label=cultivar")
print(f"{len(data.train.y)} training, {len(data.val.y)} validation and {len(data.test.y)} test rows")
print(f"of {data.image[0]} numbers, in the classes {', '.join(data.classes)}")

# %% [markdown]
# ## Distil
#
# *Distribution matching* (`dm`) asks a new random network at every step for the mean features of the real rows of each class and of the
# synthetic ones, and moves the synthetic numbers so that they come closer. Nothing in it is about images, and so it is for most methods:
# those that need shifted, cropped or mirrored views are refused, because nobody knows which changes to a row keep its label.

# %%
distilled = distill("dm", data, ipc=ipc, net=net, steps=steps, out=out)

# %% [markdown]
# ## Look
#
# These wines were never bottled, but they can be read: the normalisation is undone, so that each column is in the unit of the file.

# %%
show_table(distilled)

# %% [markdown]
# As points they lie in as many dimensions as there are columns. The picture shows the two directions in which they differ most, on one
# scale, and says how much of their variance these hold.

# %%
show(distilled)

# %% [markdown]
# ## Score
#
# Fresh networks are trained on the synthetic rows and read the test rows once. Beside them stand networks trained on as many random rows,
# on those in the middle of *k-means* clusters, and, as the ceiling, on all of the training rows. This table is small and its classes lie
# apart, so few rows go a long way, and careful picking is a strong rival: look at the spread before you call anything better.

# %%
kinds = ["distilled", "random", "kmeans", "full"]
result = evaluate(distilled, data=data, net=net, seeds=seeds, epochs=epochs, rows=kinds)
result.table()

# %%
result.plot()

# %% [markdown]
# ## Frozen embeddings
#
# Embeddings are rows whose columns have no names: an archive with `x_train`, `y_train`, `x_test` and `y_test`, where the first and third
# are matrices. Here a fixed random layer stands for the frozen network: it turns the 64 pixels of a digit into 128 numbers, and its
# weights never change. With a trained network you would store what it computes before its last layer in the same way.

# %%
digits, rng = load_digits(), np.random.default_rng(0)
x = np.maximum(digits.data / 16 @ rng.normal(size=(64, 128)) / 8, 0)
order = rng.permutation(len(x))
first, last = order[:1400], order[1400:]
parts = {"x_train": x[first], "y_train": digits.target[first], "x_test": x[last], "y_test": digits.target[last]}
np.savez("embeddings.npz", **parts)

# %%
embedded = load_data("npz:embeddings.npz")
condensed = distill("dm", embedded, ipc=ipc, net=net, steps=steps)
show(condensed)

# %% [markdown]
# Each digit has a colour. Two directions do not hold much of what 128 numbers say, so colours that meet here may still lie well apart.
#
# On top of frozen features one usually trains a single linear layer. So the score is taken with the network `linear` beside the one that
# distillation looked through: a set is worth more if it serves a network that had no part in making it.

# %%
evaluate(condensed, data=embedded, net=[net, "linear"], seeds=seeds, epochs=epochs, rows=kinds).table()

# %% [markdown]
# ## Where next
#
# - Your own table: `load_data("csv:patients.csv?label=outcome")`, and `&test=later.csv` where the test rows stand in a file of their own.
# - Another draw of the test rows: `&split=1`. The draw belongs to the data, so scores on one do not compare with scores on another.
# - No network at all: `distill("kip", embedded, ipc=2)` learns vectors and labels for kernel ridge regression, and `evaluate` then solves
#   that regression, by the recipe that the set names.
# - Trajectories: `distill("mtt", data, ipc=1, lr=1.0)` follows experts that are trained first; step sizes are those of images
#   by default, and rows want smaller ones.
# - From a shell: `condense distill dm --data "csv:wine.csv?label=cultivar" --ipc 2 --out runs/wine`, then `condense show runs/wine`.
