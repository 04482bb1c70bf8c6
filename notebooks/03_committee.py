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
# # From teachers to a labelled set
#
# Some methods never look at how a network learns. They take networks that have learned, the *teachers*, and ask them twice: which images
# look like real data to you, and what do you see in them? The first question gives the images, the second the labels. The labels hold most
# of what such a set is worth, and most of its bytes; this notebook shows both numbers beside each other.
#
# It works on handwritten digits of 8x8 pixels, which come with scikit-learn, in minutes on a laptop.

# %%
import matplotlib.pyplot as plt

from condense import distill, evaluate, load_data, load_run, load_set, relabel, show, train_teachers

# %% tags=["parameters"]
ipc = 10  # the budget: images a class
steps = 200  # of recovery
committee = ["resnet:depth=8,width=16", "convnet:norm=batch,width=32,depth=2", "mobilenet"]  # who teaches
epochs = 10  # of training the teachers
label_epochs = 100  # that the labels cover, and so of the training that follows
seeds = 3  # fresh networks behind every score
out = "runs/notebook-committee"  # folder of this experiment

# %% [markdown]
# ## Teachers
#
# Three networks of different kinds, so that they do not share their blind spots. All have *batch normalisation*: inside such a layer a
# network keeps the mean and the variance of what real images sent through it, and that memory is what images are recovered from.
#
# Their accuracy is measured on images that were set aside from the training split, and stored with them. A teacher that is hardly better
# than guessing would teach nonsense without a word, so such a one is refused: most often its classes stand in another order, or its images
# were normalised in another way. The same call again finds the teachers as they are, and a training that was stopped goes on.

# %%
data = load_data("digits")
teachers = train_teachers(data, f"{out}-teachers", net=committee, epochs=epochs)
print([f"{teacher.name.split(':')[0]} {accuracy:.3f}" for teacher, accuracy in zip(teachers.members, teachers.accuracies, strict=True)])

# %% [markdown]
# ## Recover
#
# `cvdd` (committee voting) starts from collages of real crops and changes their pixels until two of the teachers recognise the classes and
# find the batch's statistics to be those of real data. Ten images a class are ten *slots*, and every slot has a pair of teachers.
# When it is done it asks all of them for their answers to the very views (crops and mixtures) that the training of a student will draw.
#
# The views need not be stored: they follow from one number and from their place in the training, so whoever trains on the set draws the
# same ones again, and only the answers lie in the file. That is why such labels belong to one recipe, one number of epochs and one batch
# size.

# %%
made = {"ipc": ipc, "steps": steps, "teachers": f"{out}-teachers", "net": committee[0], "label_epochs": label_epochs}
distilled = distill("cvdd", data, prior="equal", out=out, **made)

# %%
show(distilled)

# %% [markdown]
# The images are odd, and they need not please the eye: they are what these networks take for digits. Both parts of the loss fall: how far
# the teachers are from recognising the classes, and how far the statistics are from real ones.

# %%
log = load_run(out).metrics
figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
axes[0].plot(log["step"], log["entropy"])
axes[1].plot(log["step"], log["statistics"])
axes[0].set(xlabel="step", ylabel="cross entropy of the teachers")
axes[1].set(xlabel="step", ylabel="distance of the statistics")
plt.show()

# %% [markdown]
# ## What the labels weigh
#
# The stored answers are one vector for every image and every epoch. Beside them, the same images with two numbers a view (*distances*) and
# with the bare class (*hard*).
#
# The two numbers say how surprised the teachers are by the class of an image and by that of its partner in the mixture; the answers for all
# other classes are dropped. With ten classes that saves most of the bytes, with a thousand nearly all of them.

# %%
kinds = {"committee": load_set(f"{out}/set.npz")}
labelled = {"teachers": f"{out}-teachers", "data": data, "recipe": "cvdd", "epochs": label_epochs}
kinds["distances"] = relabel(f"{out}/set.npz", f"{out}-distances.npz", kind="distances", **labelled)
kinds["hard"] = relabel(f"{out}/set.npz", f"{out}-hard.npz", kind="hard", **labelled)

# %% [markdown]
# ## Score
#
# Fresh networks learn from each of the three, and from as many random real images with the same kind of labels by the same teachers. That
# last row matters: real images that teachers have labelled are strong, and a method is worth something where it beats them.

# %%
scored = {"data": data, "net": committee[0], "seeds": seeds, "recipe": "cvdd", "epochs": label_epochs, "rows": ["distilled", "random"]}
results = {kind: evaluate(kinds[kind], teachers=f"{out}-teachers", **scored) for kind in ("committee", "distances")}
results["hard"] = evaluate(kinds["hard"], **scored)
[print(kind, result.table(), sep="\n") for kind, result in results.items()]

# %%
weights = [results[kind].bytes["labels"] for kind in kinds]
scores = [[100 * report.mean for report in results[kind].reports] for kind in kinds]
plt.figure(figsize=(6, 3), layout="constrained")
plt.plot(weights, scores, "o-", label=["recovered", "random real"])
plt.gca().set(xscale="log", xlabel="bytes of the labels", ylabel="test accuracy in %")
plt.legend()
plt.show()

# %%
print([f"{kind}: {results[kind].bytes['content']:,} bytes of images, {results[kind].bytes['labels']:,} of labels" for kind in kinds])

# %% [markdown]
# ## What to make of it
#
# Under the same labels random real digits beat the recovered ones, and the fewer the labels say the more: by 17 points with all answers,
# by 74 with bare classes, when this was last measured. Recovery makes images that these teachers recognise, not images that look like
# digits to a network which has seen none; pictures of 8x8 pixels have no room for both, and 200 steps are few. The published results are
# of larger images, many classes and thousands of steps. So always read the row *random* under the labels of the set.
#
# ## Where next
#
# - What each teacher is worth: `prior="distilled"` measures it, once, by recovering data from each alone, and weighs the votes by it.
# - Other methods from the same teachers: `distill("sre2l", ...)` (one teacher), `"infer"` (images that are added to a real one of every
#   class), `"nrr"` and `"rded"` (collages). `condense distill METHOD --help` explains each.
# - From a shell: `condense teachers --data fashion_mnist --out runs/teachers`, then
#   `condense distill cvdd --data fashion_mnist --ipc 10 --teachers runs/teachers --out runs/cvdd`.
