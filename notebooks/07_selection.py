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
# # What a score picks
#
# The simplest way to a small set is to keep some of the real images. Which ones? A *score* says how hard each image is for networks that
# are learning, and a *rule* says what to keep: the easiest, the hardest, those in between. This notebook ranks handwritten digits, looks
# at both ends of the ranking, and asks what the choices are worth beside random images and beside the method PCA, which lays easy images
# out in collages. Digits of 8x8 pixels come with scikit-learn; all of it takes minutes on a laptop.

# %%
from condense import distill, evaluate, load_data, rank, show

# %% tags=["parameters"]
ipc = 10  # the budget: images a class
net = "convnet:width=32,depth=2"  # the network that ranks, and that learns from the result
networks = 4  # that rank
trained = 8  # epochs of their training
seeds = 3  # fresh networks behind every accuracy
epochs = None  # of training each of them; None leaves it to the recipe
out = "runs/notebook-selection"  # folder of this experiment

# %% [markdown]
# ## Rank
#
# A few small networks, the *proxies*, learn the training images, and after every epoch they say of each image how sure they are of its
# class, how large its error is, whether they are right. All of it is logged in a folder, and every score is read from there: to try another
# one costs nothing. The validation images stay out, as everywhere.

# %%
data = load_data("digits")
ranks = rank(data, f"{out}-ranks", net=net, networks=networks, epochs=trained)
print(f"{ranks.examples:,} images by {ranks.networks} networks of {ranks.epochs} epochs: {', '.join(ranks.fields)}")

# %% [markdown]
# ## Look at both ends
#
# EL2N is the length of the error vector: the predicted probabilities minus the true answer, averaged over networks and epochs. Images with
# a small one are learned at once and by all; they look like the digit in a schoolbook.

# %%
chosen = {"ipc": ipc, "ranks": f"{out}-ranks", "net": net}
easy = distill("select", data, by="el2n", rule="easy", out=f"{out}-easy", **chosen)
show(easy)

# %% [markdown]
# At the other end are digits that people hesitate at too, and some that are labelled by what somebody meant to write.

# %%
hard = distill("select", data, by="el2n", rule="hard", out=f"{out}-hard", **chosen)
show(hard)

# %% [markdown]
# ## Combine
#
# Easy images lose little when they are made smaller. PCA (*prune, combine, augment*; nothing to do with principal components) keeps four
# times as many of them, and lays four out in each image. The file says that its images are collages: whoever trains on it is shown one
# of the four at a time, as large as the whole, and crops never reach into a neighbour. So a training takes no more steps than on plain
# images, and sees four times as many of them.

# %%
collages = distill("pca", data, out=out, **chosen)
show(collages)

# %% [markdown]
# ## Score
#
# Fresh networks learn from each choice under one recipe, that of the benchmark which PCA comes from: crops and flips (no flips on digits),
# and nothing mixed. Beside them stand random images, random collages by the same hand, and the real images nearest to k-means centres.

# %%
scored = {"data": data, "net": net, "seeds": seeds, "epochs": epochs, "recipe": "rethinking_hard"}
results = evaluate([out, f"{out}-easy", f"{out}-hard"], rows=["distilled", "random", "random_2x2", "kmeans"], **scored)
results.table()

# %%
results.plot()

# %% [markdown]
# ## What to make of it
#
# Read the row *random* first. Hard images are what a network that has seen thousands still needs; to one that sees a hundred they are
# noise, and with so few images they fall below random ones. Easy images are safer, yet they resemble one another. Whether collages are
# worth it is a matter of pixels: a quarter of 224 pixels a side is still a picture, a quarter of a digit of 8x8 is 4x4.
#
# Next steps: `by="forgetting"`, `"aum"` and the other scores of `condense distill select --help` read the same log; `rule="ccs"` keeps
# some of every difficulty; `distill("pca", ..., grid=1)` is plain pruning, and `rule="random"` takes the choice out.
