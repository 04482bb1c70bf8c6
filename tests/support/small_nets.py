"""The networks of the registry, each as small as its options allow."""

LARGER = {"vgg": (32, 32, 1), "lenet": (16, 16, 1)}  # those that take no images of 8x8, and the least that they take
OPTIONS = {
    "mlp": "width=4",
    "resnet": "depth=8,width=4",
    "resnet18": "norm=batch",
    "mobilenet": "width=4",
    "shufflenet": "width=4",
    "densenet": "growth=4,depth=1",
    "gat": "width=4",
    "gcn": "width=4",
    "gin": "width=4",
    "sage": "width=4",
    "convnet": "width=4",
    "convnet_doubling": "width=4",
    "convnet_frepo": "width=4",
}


def small(name: str) -> str:
    """The specification of a network of the registry, as small as it may be."""
    return f"{name}:{OPTIONS[name]}" if name in OPTIONS else name
