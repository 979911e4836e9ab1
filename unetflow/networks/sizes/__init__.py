"""What each network takes and which sizes follow: options and receptive field, without PyTorch.

A module a network, of the network's name. Its `OPTIONS` has the options of that network, and makes
its last map as the layers there do; tests hold that the network that is built has the same.
`values_per_px` are twice the values that are alive together in the deepest need, as a walk through
the network counts them: of the paper's network 4.5 to 6 times its base channels were measured, and
up to 7.9 where the allocator gives nothing back.
"""
