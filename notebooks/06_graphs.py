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
# # Distil graphs without training on them
#
# Molecules are graphs: atoms are nodes, bonds are edges. A graph network classifies one by letting every node gather what its neighbours
# know, a few rounds long, and then summing the nodes up. After two rounds a node knows its neighbours and theirs, and nothing else: its
# *computation tree* of depth two. Two nodes with the same tree get the same vector, whatever the weights of the network.
#
# *Mirage* builds on that. It looks for the trees, and sets of trees, that many graphs of a class hold, and keeps those with their
# frequencies. Nothing is trained for it, no network is chosen, and the result takes a few hundred bytes.
#
# The graphs here are embedded: three hundred small made-up molecules. In one class most of them carry a fork, in the other few do.

# %%
import matplotlib.pyplot as plt
import numpy as np

from condense import count_trees, distill, evaluate, load_data, show

# %% tags=["parameters"]
molecules = "toy_graphs"  # or tu:FILE?fold=1 for a set of the TU collection
depth = 1  # of the trees: layers of the networks
budget = 200  # bytes of the summary, with its labels
student = "gin:depth=1"  # the network that learns from the result, with as many layers
seeds = 3  # fresh networks behind every score
epochs = None  # of training each of them; None leaves it to the recipe
out = "runs/notebook-graphs"  # folder of this experiment

# %% [markdown]
# ## Does the premise hold?
#
# A summary by frequent trees is worth something if trees repeat, and a few of them are very frequent. So that comes first: how many
# different trees are there, how many nodes have one that another node has too, and how many have one of the ten commonest? No tree is
# written down to be counted. *Colour refinement* gives every node a colour for its tag, then again and again a new colour for its own and
# the multiset of its neighbours' colours; after as many rounds as a tree is deep, equal colours are equal trees. Each leaf counts as a tree
# of its own for every degree it has in its graph, as *Mirage* mines them by default.

# %%
data = load_data(molecules)
depths = (1, 2, 3)
counts = [count_trees(data, layers) for layers in depths]
print(f"{len(data.train.y)} training graphs with {counts[0].sum():,} nodes; by depth of the trees:")
print("different trees", dict(zip(depths, map(len, counts), strict=True)))
print("nodes whose tree another one has", {at: f"{c[c > 1].sum() / c.sum():.0%}" for at, c in zip(depths, counts, strict=True)})
print("nodes with one of the ten commonest", {at: f"{c[:10].sum() / c.sum():.0%}" for at, c in zip(depths, counts, strict=True)})

# %% [markdown]
# The deeper the trees, the fewer are alike. At depth 1 the premise holds on these graphs: nearly every tree that a node has is there again.
# From depth 2 on it does not: the ten commonest are those of less than a fifth of the nodes, where `condense distill mirage` warns and says
# which depth to try. So trees of depth 1 are taken here, a node with its neighbours, and a network with one layer. They are enough for the
# fork, which is one node and two of its neighbours.
#
# Sorted by how many nodes have them, on logarithmic axes, frequent things often fall along a line. Where the left end is not high at any
# depth, as for graphs of friendships, this method is the wrong one.

# %%
chosen = count_trees(data, depth)
plt.figure(figsize=(6, 3), layout="constrained")
plt.loglog(np.arange(1, len(chosen) + 1), chosen, ".")
plt.xlabel("tree, by rank")
plt.ylabel("nodes that have it")
plt.show()

# %% [markdown]
# ## Distil
#
# Each graph becomes the set of its trees, and an exact miner finds every set of trees that enough graphs of a class hold. With a budget in
# bytes the most frequent ones are taken, as many of each class as fit. They are packed into bits: the number of bytes below is
# all that a network needs to train.

# %%
distilled = distill("mirage", data, depth=depth, bytes=budget, out=out)
print(f"{len(distilled)} sets of trees in {distilled.x.nbytes() + distilled.y.nbytes()} bytes")

# %% [markdown]
# ## Look
#
# Unlike learned pixels these can be read. Each cell is one frequent set of trees: roots at the top, the numbers in the circles are the tags
# of the nodes, a double line is an edge of the second kind. Below it stands how many graphs of the class hold all of its trees. The same
# tree often occurs in both classes; what tells them apart is how often.

# %%
show(distilled, per_class=8)

# %% [markdown]
# ## Score
#
# Fresh networks are trained on the summary: at every step some sets are drawn, each as often as its frequency says, the network reads the
# roots of their trees, and learns the class. Then they classify whole test graphs. Beside them stand networks trained on random training
# graphs that take as many bytes in the same encoding, drawn anew for each.
#
# Graphs are scored as their papers do it: the epoch is chosen on validation graphs, and the test graphs are read once. Accuracy
# comes first, then the area under the ROC curve.

# %%
result = evaluate(distilled, data=data, net=student, seeds=seeds, epochs=epochs)
result.table()

# %%
result.plot()

# %% [markdown]
# Summary and random graphs end close to each other here. What tells these classes apart is one fork, and a handful of whole graphs shows
# that as well as a list of frequent trees. Real molecules differ in more: on NCI1, at about as many bytes, GIN is right about 60.7 ± 2.2 %
# with the summary and 56.4 ± 5.1 % with random graphs (docs/graph_methods.md).
#
# ## Nothing lost
#
# Mirage forgets: rare trees, and how often a tree occurs in a graph. Colours allow a summary that forgets nothing. Join all nodes that
# have the same colour, keep how often everything occurs, and a network computes for every graph what it computes on the graph itself,
# loss and gradient included, from far fewer evaluations; a line says how many. This is how `evaluate --rows full` trains on all the data.

# %%
whole = distill("colour", data, depth=depth)
show(whole, per_class=8)

# %% [markdown]
# ## Where next
#
# - Real molecules: `molecules = "tu:NCI1.txt?fold=1"`, or a table of SMILES with `smiles:FILE?smiles=COLUMN&label=COLUMN`.
# - Thresholds instead of a budget: `distill("mirage", data, support=(30, 40))`, one a class.
# - `leaves="mean"` joins trees whose leaves differ in degree: fewer trees, and what GCN gives their roots is near, but not exact.
# - A learned baseline: `distill("doscond", "toy_graphs?edges=false", ipc=1)` matches gradients and moves features and edges.
# - From a shell: `condense distill mirage --data toy_graphs --depth 1 --bytes 200 --out runs/trees`, then
#   `condense evaluate runs/trees --net gin:depth=1`.
