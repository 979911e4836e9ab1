"""unetflow: whole-slide segmentation with U-Net, stage by stage.

The package imports nothing here, so that the Snakefile may import it while the graph is built.
"""

__version__ = "0.1.0"
