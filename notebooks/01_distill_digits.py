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
# # Distil handwritten digits
#
# *Dataset distillation* replaces a data set by a few synthetic images, made so that a network which has only ever seen those few learns
# nearly as much as from everything. Such a set trains a network in seconds, and it shows what a network takes from the data.
#
# This notebook goes the whole way once, in a minute or two on a laptop: over a thousand real digits in, one image of each out, and a score
# beside real images at the same budget. The digits come with scikit-learn, so there is nothing to download.

# %%
from condense import distill, evaluate, load_data, load_run, show

# %% tags=["parameters"]
ipc = 1  # the budget: images a class
steps = 300  # of distillation
net = "convnet:width=32,depth=2"  # the network that distillation looks through, and that learns from the result
seeds = 3  # fresh networks behind every score
epochs = None  # of training each of them; None leaves it to the recipe
out = "runs/notebook-digits"  # folder of this experiment

# %% [markdown]
# ## Real images
#
# `load_data` reads, splits and normalises. A tenth of the training images goes to a validation split, for choices that you make on the way;
# the test split is looked at once, at the very end.

# %%
data = load_data("digits")
print(f"{len(data.train.y)} training, {len(data.val.y)} validation and {len(data.test.y)} test images")
print(f"of {'x'.join(map(str, data.image))} pixels, in the classes {', '.join(data.classes)}")

# %% [markdown]
# The simplest way to keep so few is to pick them at random. That is what distillation has to beat.

# %%
show(distill("random", data, ipc=ipc, net=net))

# %% [markdown]
# ## Distil
#
# The method here is *distribution matching* (`dm`). It starts from such real images and changes their pixels. Every step draws a new random
# network, asks it for the mean feature vector of the real images of each class and for that of the synthetic ones, and moves the synthetic
# pixels so that the two come closer. The squared distance between them is the loss.
#
# The bar shows the rate, the time left and the loss. All that is needed to go on stands in the folder `out`: stop this cell, run it again,
# and it continues where it stopped; once it is done, running it again gives back the finished set.

# %%
distilled = distill("dm", data, ipc=ipc, net=net, steps=steps, out=out)

# %% [markdown]
# ## Look
#
# Nobody wrote these digits. Strokes are blended over many writers and edges are exaggerated: the pixels are free to be whatever gives
# networks the right features. (They are drawn as raw pixels, clipped to what a screen can show.) Below each stands the real training image
# that is nearest to it, so that you see what was changed.

# %%
show(distilled, nearest=True)

# %% [markdown]
# The loss is noisy, because every step sees another network and other real images; its level falls and then settles. It never reaches
# zero: a few images cannot have every statistic of hundreds.

# %%
run = load_run(out)
run.plot()

# %% [markdown]
# On the way the run kept small pictures of its set. Move the slider to see the real images turn into what they are now.

# %%
run.explore()

# %% [markdown]
# ## Score
#
# A low loss proves nothing: what counts is what a network learns from the set. So fresh networks are trained on nothing but the set and
# scored on the test images, which nothing has seen so far. Beside them stand networks trained under the same recipe on as many real images:
# *random* ones, and those nearest to the centres of a *k-means* clustering of each class, which are hard to beat.

# %%
result = evaluate(distilled, data=data, recipe="quick", net=net, seeds=seeds, epochs=epochs)
result.table()

# %%
result.plot()

# %% [markdown]
# Each number is the accuracy on the test split in per cent, the mean over fresh networks ± their standard deviation. How to read them:
#
# - **distilled above random** by much more than both spreads: the pixels have learned what picking images does not give. The spread of
#   *random* is wide, because it also holds the luck of the draw.
# - **distilled above k-means**: it also beats careful picking, by less. Digits are small and clean, and the most typical image says much.
# - The title states the **budget**, in images a class and in bytes with the labels. A score means something only beside it.
#
# ## Where next
#
# - A larger budget: set `ipc = 10` and another `out` above. Scores rise, and the gap to real images narrows.
# - The ceiling: `evaluate(out, rows=["full"])` trains on all the real images.
# - Another method: `distill("dc", ...)` matches gradients instead of features. `condense list methods` shows them all.
# - The papers' protocol: `evaluate(out, recipe="dsa", seeds=5)` trains longer and with augmentation; `net=["convnet", "mlp", "resnet"]`
#   asks whether the set serves networks that had no part in making it.
# - Your own images: `load_data("folder:photos?size=32")`, with photos/train/CLASS/*.png and photos/test/CLASS/*.png.
# - From a shell: `condense distill dm --data fashion_mnist --ipc 10 --out runs/fashion`, then `condense evaluate runs/fashion`.
