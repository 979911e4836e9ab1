"""What a network may say beside the foreground, of all classes together: its heads.

In a store they are the planes of array `heads`, as the foreground in [0, 1].
"""

HEADS = ("border", "distance")
BORDER_PX = 3  # border: pixels that lie within this of two objects, their own counted with 0
DISTANCE_PX = 16  # distance: to the object's own edge, of which this and more is 1; ground is 0
