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
# # From unlabelled images to a set that pre-trains
#
# Most images have no labels. Self-supervised learning makes networks from them anyway, and such a network is then adapted to a task with
# few labels. But it needs the whole data set, and long training. This notebook distils what it gives: a hundred synthetic images, each with
# a *target representation*, on which any fresh network can be pre-trained quickly, by plain regression.
#
# The source is Fashion-MNIST without its labels. What a set is worth shows elsewhere: on handwritten digits, which nothing here has seen.
# With 6,000 images of each, a short training of the teacher and few steps it takes twenty minutes of one processor core, most of it for
# pre-training; remove the limits for more. Each bar shows how long it takes, and a step that was stopped resumes.

# %%
from condense import distill, load_data, show, train_ssl_teacher, transfer

# %% tags=["parameters"]
source, near, far = "fashion_mnist?limit=6000", "mnist?limit=6000", "digits"  # to distil without labels; to transfer to
size = 100  # the budget: images in all
net = "convnet:width=32,depth=3,norm=batch"  # the network that is pre-trained
teacher_epochs = 20  # of self-supervised learning; None leaves it to the workbench
steps = 300  # of distillation
epochs = 300  # of pre-training on a set; None means 1,000, as published
seeds = 3  # fresh networks behind every score
out = "runs/notebook-transfer"  # folder of this experiment

# %% [markdown]
# ## The teacher
#
# *Barlow Twins* shows a network two random views of every image, crops of different places and contrast, and asks for two things: the
# two outputs shall agree in every dimension, and no dimension shall repeat another. No label is needed for either.

# %%
data = load_data(source)
teacher = train_ssl_teacher(data, f"{out}/teacher", epochs=teacher_epochs)

# %% [markdown]
# How good is it? A *linear probe* answers: a logistic regression on the frozen representations. It does read labels, but only to
# measure; its accuracy on the validation images is logged beside the loss.

# %%
print(teacher.about["probe"])

# %% [markdown]
# ## Distil
#
# The method `krrst` learns images and target representations together. Each step takes a network that was pre-trained on the present
# set for a while, puts the best linear head on its features in closed form (kernel ridge regression, so nothing is trained inside the
# step), and asks how well it predicts the teacher's representations of real images. The error's gradient moves pixels and targets.
# (Networks of the pool are renewed after 100 steps here instead of 1,000, which saves time at the start.)

# %%
synth = distill("krrst", data, size=size, net=net, steps=steps, pool_steps=100, out=out, teacher=f"{out}/teacher")
print(f"{len(synth)} images with targets of {synth.y.values.shape[1]} numbers each")

# %% [markdown]
# There are no classes, so the images stand in no order. They stay close to the real images that they started from: much of what was
# learned is in the targets.

# %%
show(synth)

# %% [markdown]
# As many random real images, for comparison:

# %%
show(distill("random", data, ipc=max(1, size // len(data.classes)), net=net))

# %% [markdown]
# ## Transfer
#
# Now fresh networks are pre-trained on the set alone, then frozen, and a logistic regression on top learns the target's digits. Beside it
# stand networks that were not pre-trained at all, and ones pre-trained on as many real images with the teacher's own representations:
# *random* ones, and those nearest to the centres of a *k-means* clustering. They are the honest rivals: they too were handed the teacher.
# The images of *random_labels* are those of *random*, learned by their class labels, as in the paper's own comparison.
#
# The network is pre-trained once for every row, and its features serve all that follows: two targets, the second one's images enlarged to
# the size of the source's, and a hundredth and all of the labels.

# %%
found = transfer(out, to=[near, far], protocol=["probe:0.01", "probe"], seeds=seeds, epochs=epochs, net=net)
found.table()

# %% [markdown]
# Each number is the accuracy on the target's test images in per cent, the mean over fresh networks (each with its own draw of labels) ±
# their standard deviation. The title counts the bytes of the set with its targets: they are part of what is handed on.
#
# ## Read it with care
#
# - **distilled above none** says that pre-training helped at all. A random convolutional network already extracts features from which
#   digits can be told apart, so this is not to be taken for granted.
# - **distilled above random** by more than both spreads says that distillation helped, and not merely the teacher's representations.
# - A difference within the spreads says nothing. Raise `seeds`.
#
# Run as it stands it gave, with one label in a hundred of the near target, 68.9 ± 2.0 without pre-training, 76.9 ± 1.7 with the distilled
# set and 76.5 ± 0.4 with random images, and on the far one 56.9 ± 2.5, 61.9 ± 1.2 and 61.2 ± 4.7: pre-training helps, but at this size
# distillation adds nothing that three networks could show. The distilled images had moved only 0.03 standard deviations from the real ones
# that they started from, in 300 steps; as published there are 160,000. With all labels there is hardly room: 96.2, 97.2 and 97.3.
#
# ## Where next
#
# - `transfer(out, to=near, fraction=0.01, protocol="finetune")` trains all weights on, under a new head.
# - `rows=["full"]` pre-trains on every image of the source: the ceiling.
# - `net=["convnet:width=32,depth=3,norm=batch", "resnet"]` asks whether the set serves networks that had no part in making it.
# - `distill("krrst", ..., learn="targets")` learns the targets alone, `learn="images"` the images alone.
# - From a shell: `condense teachers --ssl barlow --data fashion_mnist --out runs/teacher`, then
#   `condense distill krrst --data fashion_mnist --size 100 --teacher runs/teacher --out runs/krrst`, then
#   `condense transfer runs/krrst --to mnist --fraction 0.01 --teacher runs/teacher`.
