"""What others wrote and a run used, as text cites it and as BibTeX: one entry a source."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reference:
    """A publication. `where` are further fields of its BibTeX entry."""

    kind: str  # of the entry
    authors: str  # as BibTeX has them: joined by "and"
    year: int
    title: str
    where: dict[str, str]

    @property
    def cited(self) -> str:
        """As text names it.

        >>> REFERENCES["otsu1979"].cited, REFERENCES["he2016"].cited
        ('Otsu, 1979', 'He et al., 2016')
        """
        names = [name.split(",")[0].strip("{}") for name in self.authors.split(" and ")]
        if len(names) == 2 and names[1] != "others":
            return f"{names[0]} and {names[1]}, {self.year}"
        return f"{names[0]}{' et al.' if len(names) > 1 else ''}, {self.year}"

    def bibtex(self, key: str) -> str:
        """The entry; braces keep the capitals of the title."""
        fields = {
            "author": self.authors,
            "title": f"{{{self.title}}}",
            "year": f"{self.year}",
            **self.where,
        }
        lines = [f"  {name:<9} = {{{value}}}," for name, value in fields.items()]
        return "\n".join([f"@{self.kind}{{{key},", *lines, "}"])


def cite(*keys: str) -> str:
    """In brackets, as text has them.

    >>> cite("otsu1979", "loshchilov2019")
    '(Otsu, 1979; Loshchilov and Hutter, 2019)'
    """
    return f"({'; '.join(REFERENCES[key].cited for key in keys)})"


def bibliography(keys: Iterable[str]) -> str:
    """BibTeX of these, each once, by key."""
    return "\n\n".join(REFERENCES[key].bibtex(key) for key in sorted(set(keys)))


def _article(authors: str, year: int, title: str, journal: str, place: str, doi: str) -> Reference:
    """`place` is "volume(number):pages", the number left out where there is none."""
    volume, _, pages = place.partition(":")
    volume, _, number = volume.rstrip(")").partition("(")
    where = {"journal": journal, "volume": volume, "number": number, "pages": pages, "doi": doi}
    return Reference("article", authors, year, title, {k: v for k, v in where.items() if v})


def _paper(
    authors: str, year: int, title: str, book: str, pages: str = "", doi: str = ""
) -> Reference:
    where = {"booktitle": book, "pages": pages, "doi": doi}
    return Reference("inproceedings", authors, year, title, {k: v for k, v in where.items() if v})


def _preprint(authors: str, year: int, title: str, number: str) -> Reference:
    where = {"eprint": number, "archiveprefix": "arXiv"}
    return Reference("misc", authors, year, title, where)


_CVPR = "IEEE Conference on Computer Vision and Pattern Recognition (CVPR)"
_ICCV = "IEEE International Conference on Computer Vision (ICCV)"
_ICML = "International Conference on Machine Learning (ICML)"
_ICLR = "International Conference on Learning Representations (ICLR)"
_NEURIPS = "Advances in Neural Information Processing Systems"
_MIA = "Medical Image Analysis"

REFERENCES = {
    # networks
    "ronneberger2015": _paper(
        "Ronneberger, Olaf and Fischer, Philipp and Brox, Thomas",
        2015,
        "U-Net: Convolutional Networks for Biomedical Image Segmentation",
        "Medical Image Computing and Computer-Assisted Intervention (MICCAI)",
        "234--241",
        "10.1007/978-3-319-24574-4_28",
    ),
    "zhang2018": _article(
        "Zhang, Zhengxin and Liu, Qingjie and Wang, Yunhong",
        2018,
        "Road Extraction by Deep Residual U-Net",
        "IEEE Geoscience and Remote Sensing Letters",
        "15(5):749--753",
        "10.1109/LGRS.2018.2802944",
    ),
    "oktay2018": _preprint(
        "Oktay, Ozan and others",
        2018,
        "Attention U-Net: Learning Where to Look for the Pancreas",
        "1804.03999",
    ),
    "ibtehaz2020": _article(
        "Ibtehaz, Nabil and Rahman, M. Sohel",
        2020,
        "MultiResUNet: Rethinking the U-Net architecture for multimodal biomedical image "
        "segmentation",
        "Neural Networks",
        "121:74--87",
        "10.1016/j.neunet.2019.08.025",
    ),
    "hatamizadeh2022": _paper(
        "Hatamizadeh, Ali and others",
        2022,
        "UNETR: Transformers for 3D Medical Image Segmentation",
        "IEEE/CVF Winter Conference on Applications of Computer Vision (WACV)",
        "1748--1758",
        "10.1109/WACV51458.2022.00181",
    ),
    "long2015": _paper(
        "Long, Jonathan and Shelhamer, Evan and Darrell, Trevor",
        2015,
        "Fully Convolutional Networks for Semantic Segmentation",
        _CVPR,
        "3431--3440",
        "10.1109/CVPR.2015.7298965",
    ),
    "lin2017": _paper(
        "Lin, Tsung-Yi and Dollár, Piotr and Girshick, Ross and He, Kaiming and Hariharan, Bharath "
        "and Belongie, Serge",
        2017,
        "Feature Pyramid Networks for Object Detection",
        _CVPR,
        "936--944",
        "10.1109/CVPR.2017.106",
    ),
    "ciresan2012": _paper(
        "Cireşan, Dan C. and Giusti, Alessandro and Gambardella, Luca M. and Schmidhuber, Jürgen",
        2012,
        "Deep Neural Networks Segment Neuronal Membranes in Electron Microscopy Images",
        _NEURIPS,
    ),
    "he2016": _paper(
        "He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian",
        2016,
        "Deep Residual Learning for Image Recognition",
        _CVPR,
        "770--778",
        "10.1109/CVPR.2016.90",
    ),
    "sandler2018": _paper(
        "Sandler, Mark and Howard, Andrew and Zhu, Menglong and Zhmoginov, Andrey and Chen, "
        "Liang-Chieh",
        2018,
        "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
        "IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        "4510--4520",
        "10.1109/CVPR.2018.00474",
    ),
    "tan2019": _paper(
        "Tan, Mingxing and Le, Quoc V.",
        2019,
        "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
        _ICML,
    ),
    # training
    "he2015": _paper(
        "He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian",
        2015,
        "Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet "
        "Classification",
        _ICCV,
        "1026--1034",
        "10.1109/ICCV.2015.123",
    ),
    "ioffe2015": _paper(
        "Ioffe, Sergey and Szegedy, Christian",
        2015,
        "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate "
        "Shift",
        _ICML,
    ),
    "ulyanov2016": _preprint(
        "Ulyanov, Dmitry and Vedaldi, Andrea and Lempitsky, Victor",
        2016,
        "Instance Normalization: The Missing Ingredient for Fast Stylization",
        "1607.08022",
    ),
    "wu2018": _paper(
        "Wu, Yuxin and He, Kaiming",
        2018,
        "Group Normalization",
        "European Conference on Computer Vision (ECCV)",
        "3--19",
        "10.1007/978-3-030-01261-8_1",
    ),
    "loshchilov2017": _paper(
        "Loshchilov, Ilya and Hutter, Frank",
        2017,
        "SGDR: Stochastic Gradient Descent with Warm Restarts",
        _ICLR,
    ),
    "loshchilov2019": _paper(
        "Loshchilov, Ilya and Hutter, Frank", 2019, "Decoupled Weight Decay Regularization", _ICLR
    ),
    "milletari2016": _paper(
        "Milletari, Fausto and Navab, Nassir and Ahmadi, Seyed-Ahmad",
        2016,
        "V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation",
        "International Conference on 3D Vision (3DV)",
        "565--571",
        "10.1109/3DV.2016.79",
    ),
    "lin2020": _article(
        "Lin, Tsung-Yi and Goyal, Priya and Girshick, Ross and He, Kaiming and Dollár, Piotr",
        2020,
        "Focal Loss for Dense Object Detection",
        "IEEE Transactions on Pattern Analysis and Machine Intelligence",
        "42(2):318--327",
        "10.1109/TPAMI.2018.2858826",
    ),
    "macenko2009": _paper(
        "Macenko, Marc and others",
        2009,
        "A method for normalizing histology slides for quantitative analysis",
        "IEEE International Symposium on Biomedical Imaging (ISBI)",
        "1107--1110",
        "10.1109/ISBI.2009.5193250",
    ),
    "reinhard2001": _article(
        "Reinhard, Erik and Ashikhmin, Michael and Gooch, Bruce and Shirley, Peter",
        2001,
        "Color Transfer between Images",
        "IEEE Computer Graphics and Applications",
        "21(5):34--41",
        "10.1109/38.946629",
    ),
    "tellez2019": _article(
        "Tellez, David and others",
        2019,
        "Quantifying the effects of data augmentation and stain color normalization in "
        "convolutional neural networks for computational pathology",
        _MIA,
        "58:101544",
        "10.1016/j.media.2019.101544",
    ),
    # from foreground to objects
    "otsu1979": _article(
        "Otsu, Nobuyuki",
        1979,
        "A Threshold Selection Method from Gray-Level Histograms",
        "IEEE Transactions on Systems, Man, and Cybernetics",
        "9(1):62--66",
        "10.1109/TSMC.1979.4310076",
    ),
    "teichmann2019": _paper(
        "Teichmann, Marvin and Cipolla, Roberto",
        2019,
        "Convolutional CRFs for Semantic Segmentation",
        "British Machine Vision Conference (BMVC)",
        "169.1--169.13",
        "10.5244/C.33.169",
    ),
    # scores
    "maska2014": _article(
        "Maška, Martin and others",
        2014,
        "A benchmark for comparison of cell tracking algorithms",
        "Bioinformatics",
        "30(11):1609--1617",
        "10.1093/bioinformatics/btu080",
    ),
    "caicedo2019": _article(
        "Caicedo, Juan C. and others",
        2019,
        "Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl",
        "Nature Methods",
        "16(12):1247--1253",
        "10.1038/s41592-019-0612-7",
    ),
    "schmidt2018": _paper(
        "Schmidt, Uwe and Weigert, Martin and Broaddus, Coleman and Myers, Gene",
        2018,
        "Cell Detection with Star-Convex Polygons",
        "Medical Image Computing and Computer Assisted Intervention (MICCAI)",
        "265--273",
        "10.1007/978-3-030-00934-2_30",
    ),
    "arganda2015": _article(
        "Arganda-Carreras, Ignacio and others",
        2015,
        "Crowdsourcing the creation of image segmentation algorithms for connectomics",
        "Frontiers in Neuroanatomy",
        "9:142",
        "10.3389/fnana.2015.00142",
    ),
    "jaccard1901": _article(
        "Jaccard, Paul",
        1901,
        "Étude comparative de la distribution florale dans une portion des Alpes et du Jura",
        "Bulletin de la Société Vaudoise des Sciences Naturelles",
        "37(142):547--579",
        "10.5169/seals-266450",
    ),
    "efron1979": _article(
        "Efron, Bradley",
        1979,
        "Bootstrap Methods: Another Look at the Jackknife",
        "The Annals of Statistics",
        "7(1):1--26",
        "10.1214/aos/1176344552",
    ),
    "hesterberg2015": _article(
        "Hesterberg, Tim",
        2015,
        "What Teachers Should Know About the Bootstrap: "
        "Resampling in the Undergraduate Statistics Curriculum",
        "The American Statistician",
        "69(4):371--386",
        "10.1080/00031305.2015.1089789",
    ),
    # programs
    "molder2021": _article(
        "Mölder, Felix and others",
        2021,
        "Sustainable data analysis with Snakemake",
        "F1000Research",
        "10:33",
        "10.12688/f1000research.29032.2",
    ),
    "paszke2019": _paper(
        "Paszke, Adam and others",
        2019,
        "PyTorch: An Imperative Style, High-Performance Deep Learning Library",
        _NEURIPS,
    ),
    "walt2014": _article(
        "{van der Walt}, Stéfan and others",
        2014,
        "scikit-image: image processing in Python",
        "PeerJ",
        "2:e453",
        "10.7717/peerj.453",
    ),
    "moore2021": _article(
        "Moore, Josh and others",
        2021,
        "OME-NGFF: a next-generation file format for expanding bioimaging data-access strategies",
        "Nature Methods",
        "18(12):1496--1498",
        "10.1038/s41592-021-01326-w",
    ),
}
"""By key of BibTeX."""
