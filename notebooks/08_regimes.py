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
# # What the labels do
#
# Keep a tenth of the data, and train on it. Is the result owed to the images that were kept, or to the labels that they carry? A teacher
# that has seen all of the data can answer for the images that are left, and its answers say far more than a class index does. So two
# small sets compare only under the same labels. This notebook scores hard and random digits under three *regimes*: class indices, one
# stored answer of a teacher to every image, and a teacher that answers to every view while a network trains. Digits of 8x8 pixels come
# with scikit-learn; all of it takes less than a minute on a laptop.

# %%
import matplotlib.pyplot as plt

from condense import distill, evaluate, load_data, rank, show, train_teachers

# %% tags=["parameters"]
fraction = 0.1  # of the training images that is kept
net = "mlp:width=64"  # the network that ranks, teaches and learns
trained = 8  # epochs of ranking
taught = 10  # epochs of the teachers
seeds = 2  # fresh networks behind every accuracy
epochs = 60  # of training each of them
out = "runs/notebook-regimes"  # folder of this experiment

# %% [markdown]
# ## Keep a tenth
#
# A small network says how hard every image is for it (EL2N, the length of the error vector). Pruning most often keeps the hard
# ones: on large sets the easy ones repeat each other. On small sets that goes wrong, because what is hard for a network that has seen
# thousands of images is often a digit that was written badly, or one with a wrong label.

# %%
data = load_data("digits")
rank(data, f"{out}-ranks", net=net, networks=1, epochs=trained)
kept = distill("select", data, fraction=fraction, ranks=f"{out}-ranks", by="el2n", rule="hard", net=net, out=out)
show(kept)

# %% [markdown]
# ## Train two teachers
#
# Both have the architecture of the student, which is called self-distillation. One has seen all training images, the other only as many
# as the student sees, for as many steps. In theory what matters is the first number: in ridge regression, the bias of a student falls
# with the fraction of the data that its teacher has seen, whatever the student itself sees.

# %%
train_teachers(data, f"{out}-teachers", net=[net], epochs=taught, batch=32)
train_teachers(data, f"{out}-few", net=[net], epochs=taught, batch=4, fraction=fraction)

# %% [markdown]
# ## Compare the regimes
#
# The loss is (1 - alpha) times the cross entropy with the class, plus alpha T^2 times the divergence from the teacher's answer, both
# softened at a temperature T. Here alpha is 1: where a teacher answers, the class does not count. T is chosen on validation images from
# 1, 4 and 20, for every row and regime by itself. All rows take the same number of optimiser steps, and the table says what the labels
# weigh.

# %%
way = {"data": data, "net": net, "seeds": seeds, "recipe": "quick", "epochs": epochs, "rows": ["distilled", "random"]}
way["augmentations"] = "crop"  # shifted views, so that a teacher that answers to each of them says more than a stored answer
results = evaluate(kept, **way, teachers=f"{out}-teachers", regimes=["hard", "soft", "online"])
results.table()

# %%
results.plot()

# %% [markdown]
# ## Ask a poorer teacher, and mix
#
# With alpha at a half the class counts again. That is worth most where the teacher is poor, and the second teacher is: it knows a tenth
# of the data. The temperature stays fixed now, which saves two trainings out of three.

# %%
fixed = {"regimes": "online", "temperature": 4.0}
poor = evaluate(kept, **way, **fixed, teachers=f"{out}-few")
both = evaluate(kept, **way, **fixed, teachers=f"{out}-few", alpha=0.5)

# %%
names = ["classes", "stored", "online", "few seen", "few seen, alpha 0.5"]
hard = [*results.reports[:3], *[one.reports[0] for one in (poor, both)]]
rand = [*results.reports[3:], *[one.reports[1] for one in (poor, both)]]

# %%
plt.figure(figsize=(7, 3), layout="constrained")
plt.plot(names, [100 * report.mean for report in hard], "o", label="hard images")
plt.plot(names, [100 * report.mean for report in rand], "s", label="random images")
plt.ylabel("test accuracy in %")
plt.xticks(rotation=20)
plt.legend()
plt.show()

# %% [markdown]
# ## What to make of it
#
# Hard images stay below random ones under every regime, as one expects of so small a set. Look at the distance between the two marks from
# left to right. If it shrinks where teachers answer, the labels do the work that a better choice of images would do, and a table that shows
# only the right-hand side says little about the choice. The teacher's bytes belong to the bill too: labels that are asked for while a
# network trains weigh nothing by themselves, and cannot be had without the teacher.
#
# Next steps: `--augmentations none,dsa,cutout` asks the same of augmentations; `--tune-lr` gives every row the step size that validation
# prefers, and together with the row `full` prints the scores of DD-Ranking; `--embed DIR` says how much of the data the images cover.
