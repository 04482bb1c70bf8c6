"""Shapes of convolutions that every form must compute."""

# name: (h, w, c, d, kernel size, stride, padding)
CASES = {
    "even": (8, 8, 6, 5, 3, 1, 1),
    "odd": (7, 5, 6, 5, 3, 1, 1),
    "valid": (6, 9, 5, 6, 3, 1, 0),
    "full": (4, 5, 6, 5, 3, 1, 2),
    "one pixel": (1, 1, 5, 5, 3, 1, 1),
    "padded by three": (4, 4, 6, 5, 3, 1, 3),
    "thin in": (7, 6, 1, 6, 3, 1, 1),
    "thin out": (6, 7, 6, 2, 3, 1, 1),
    "strided": (9, 8, 6, 5, 3, 2, 1),
    "five by five": (9, 10, 3, 4, 5, 2, 2),
    "seven by seven": (8, 8, 3, 4, 7, 1, 3),
    "pointwise": (4, 5, 6, 5, 1, 1, 0),
    "pointwise strided": (5, 6, 6, 5, 1, 2, 0),
    "deep": (6, 7, 34, 33, 3, 1, 1),
    "unread border": (8, 8, 5, 5, 3, 4, 0),
}
