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
# # Follow an expert
#
# *Trajectory matching* asks more of a synthetic set than that its features look real. Networks trained on the real data leave a trail:
# their parameters after every epoch. A student starts at some point of such a trail, takes a few steps on nothing but the synthetic
# images, and should end where the expert was epochs later. How far off it is, as a fraction of the way, is the loss; its gradient goes
# back through all of the student's steps into the pixels, and into the step size, which is learned too.
#
# This notebook trains three kinds of experts on handwritten digits, looks at how smoothly they move, distils with the method that each
# kind was made for, and scores the sets. It takes some minutes on a laptop.

# %%
import matplotlib.pyplot as plt
import numpy as np

from condense import distill, evaluate, load_data, load_run, show, train_experts

# %% tags=["parameters"]
ipc = 1  # the budget: images a class
steps = 300  # of distillation, for each method
count = 4  # experts of each kind
trained = 20  # epochs of each expert
net = "convnet:width=32,depth=2"  # of the experts, and so of the student
seeds = 3  # fresh networks behind every score
epochs = None  # of training each of them; None leaves it to the recipe
out = "runs/notebook-trajectories"  # folder of this experiment; others beside it begin with the same words

# %%
data = load_data("digits")

# %% [markdown]
# ## Experts
#
# An expert is a network trained on the real images, whose parameters are written to disk before training and after every epoch. Experts
# are the costly part, and they serve every run that comes after: other budgets, other methods, other settings. The three recipes are
#
# - `sgd`, plain descent, as in *Matching Training Trajectories* (MTT);
# - `flat`, which steps where the loss stays low *nearby*, so that a student who lands a little beside the trail is not lost (*Minimizing
#   the Accumulated Trajectory Error*, FTD);
# - `smooth`, with momentum, a gentle start and a penalty on steep outputs (*Alignment with Smooth Expert Trajectories*, AST).
#
# Mini-batches of 32 suit a set of this size: a trail of twenty epochs should lead somewhere.

# %%
common = {"count": count, "epochs": trained, "net": net, "batch": 32}
plain = train_experts(data, recipe="sgd", out=f"{out}-sgd", **common)
flat = train_experts(data, recipe="flat", out=f"{out}-flat", **common)
smooth = train_experts(data, recipe="smooth", out=f"{out}-smooth", **common)
experts = {"sgd": plain, "flat": flat, "smooth": smooth}

# %% [markdown]
# Left: the accuracy on the validation split after every epoch, the mean over the experts of a recipe, which is what a student can hope to
# inherit. Right: the cosine between one epoch's move through the parameters and the next one's. At one the trail is a straight line, and
# a student may take a short cut; near zero every epoch goes another way, and what an expert did there is hard to imitate with so few
# images. High accuracy and a straight trail are not the same thing, and distillation wants both.

# %%
trails = {name: expert.read(0, range(trained + 1)) for name, expert in experts.items()}
moves = {name: np.diff(trail, axis=0) for name, trail in trails.items()}
units = {name: move / np.linalg.norm(move, axis=1, keepdims=True) for name, move in moves.items()}
bends = {name: (unit[1:] * unit[:-1]).sum(1) for name, unit in units.items()}

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
[left.plot(np.mean(expert.header.accuracy, 0), label=name) for name, expert in experts.items()]
[right.plot(range(2, trained + 1), bend) for bend in bends.values()]
left.set(xlabel="epoch", title="accuracy")
right.set(xlabel="epoch", title="cosine of moves")
left.legend()
plt.show()

# %% [markdown]
# ## Distil
#
# The three methods share the student: ten steps on the augmented synthetic images, matched with what the expert did in three epochs, from
# a start among the first five. `ftd` gives the running mean of the images instead of the last ones. `ast` chooses typical real images to
# start from, gives the student momentum, compares it with the expert on the way as well, weighs late epochs more and shakes the student's
# start; each of these is a switch of its own (`condense distill ast --help`).

# %%
student = {"inner_steps": 10, "span": 3, "max_start": 5, "lr": 100.0, "positive": "none", "lr_lr": 1e-4}
common = {"ipc": ipc, "steps": steps, **student}
mtt = distill("mtt", data, experts=f"{out}-sgd", step_size=0.05, out=out, **common)
ftd = distill("ftd", data, experts=f"{out}-flat", step_size=0.05, decay=0.98, out=f"{out}-ftd", **common)
ast = distill("ast", data, experts=f"{out}-smooth", step_size=0.01, out=f"{out}-ast", **common)

# %% [markdown]
# A loss of one means: as far from the goal as at the start. What remains below one cannot be had with so few images and steps, or not for
# every expert and every epoch at once. The losses of different methods are not comparable: each looks at experts of its own, and `ast`
# adds up several comparisons. The second panel shows the learned step size; the set carries it along, and whoever trains on the set
# should use it.

# %%
runs = {"mtt": out, "ftd": f"{out}-ftd", "ast": f"{out}-ast"}
logs = {name: load_run(folder).metrics for name, folder in runs.items()}

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
[left.plot(log["step"], log["loss"], label=name) for name, log in logs.items()]
[right.plot(log["step"], log["step_size"]) for log in logs.values()]
left.set(title="loss")
right.set(title="step size")
left.legend()
plt.show()

# %% [markdown]
# ## Look
#
# The images of `mtt`, `ftd` and `ast`, in this order. Nothing asks them to look like digits: they are whatever moves a network's
# parameters the right way in ten steps. How much of the real images they started from is left depends on how long they were distilled.

# %%
show(mtt)

# %%
show(ftd)

# %%
show(ast)

# %% [markdown]
# ## Score
#
# Fresh networks are trained on each set with its learned step size, and scored once on the test images, beside networks trained on as
# many real images: random ones and the most typical ones. Sets that are scored in one call share these rows.

# %%
settings = {"data": data, "recipe": "quick", "net": net, "seeds": seeds, "epochs": epochs}
results = evaluate(list(runs.values()), **settings)
results.table()

# %%
results.plot()

# %% [markdown]
# Read the differences beside the spreads: a few points between two of the methods, on images this small and after so few steps, may be
# luck, and another seed of the distillation would show how much. What should stand out is the distance to the real images at the same
# budget. Each set was made for one network at one width; ask for `net=["mlp", "lenet"]` to see how much of it carries over to networks
# that had no part in it.
#
# ## Where next
#
# - **One switch at a time**: `distill("ast", ..., perturb=0.0)` or `intermediate="none"`, with another `out`, shows what each idea is
#   worth here.
# - **Learned labels**: `distill("datm", ...)` learns a soft label with every image and starts from images that the experts get right.
# - **A cheaper gradient**: `gradient="tesla"` leaves out how later steps depend on earlier ones. docs/trajectories.md says what that
#   costs.
# - **Real sizes**: `condense experts --data fashion_mnist --count 4 --epochs 8 --out experts`, then `condense distill mtt --data
#   fashion_mnist --experts experts --ipc 1 --out run`.
