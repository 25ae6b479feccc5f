"""The words that names of scans are made of, by archives, centres and scanners, and how to find them in a name.

A name falls into words at everything that is no letter or digit; what is stuck together (``T2FLAIR``, ``3DT1``,
``t1gad``) is taken apart where all of it is known.
"""

import re
from functools import cache

FLAIR = frozenset({"flair", "t2f", "tirm"})  # Siemens calls it tirm or dark-fluid
T1 = frozenset({"t1", "t1n", "t1w", "t1wi"})
T1_AFTER_CONTRAST = frozenset({"t1ce", "t1c", "t1gd"})
T1_BY_SEQUENCE = frozenset({"mprage", "mp2rage", "memprage", "spgr", "fspgr", "irspgr", "bravo", "tfe", "tfl", "vibe"})
"""Of T1 as a rule: what a name says in so many letters counts more."""
T2 = frozenset({"t2", "t2w", "t2wi"})
WEIGHTINGS = FLAIR | T1 | T1_AFTER_CONTRAST | T2

AGENT = frozenset({"gado", "gadolinium", "gadovist", "dotarem", "magnevist", "prohance"})
"""Names a T1 without the word: "GADO.nii"."""
CONTRAST = AGENT | {
    "gd",
    "gad",
    "km",
    "ks",
    "ce",
    "contrast",
    "kontrast",
    "contraste",
    "mdc",
    "enhanced",
    "inj",
    "injected",
}
POST = "post"
"""After contrast, unless what follows says after what; before an image it may also be the second visit."""
PROCESSING = frozenset({"processed", "processing", "proc", "corr", "corrected"})
AFTER_SOMETHING_ELSE = frozenset(
    {"op", "operative", "surgery", "surgical", "treatment", "therapy", "rt", "chemo"} | PROCESSING
)
WITHOUT = frozenset({"pre", "non", "no", "without", "wo", "ohne", "sans", "senza", "sin", "before", "vor"})

LESION = frozenset({"lesion", "lesions", "wmh", "wml", "gold", "consensus", "groundtruth", "tumorseg", "lesionseg"})
SEGMENTATION = frozenset({"seg", "segm", "segmentation", "segmentations"})
VAGUE = frozenset({"tumor", "tumour", "label", "labels", "roi", "gt", "infarct"})
"""Of a lesion mask where no other word says more: "tumor_07_T1c" is an image."""
MASK = frozenset({"mask", "masks", "msk"})
BRAIN = frozenset({"brain", "brainmask"})
DISEASE = frozenset({"tumor", "tumour", "lesion", "lesions"})
TISSUE = frozenset({"wm", "gm", "csf", "tissue", "parc", "aparc", "aseg", "dseg", "atlas", "ventricles", "hippocampus"})
"""What segmentations of healthy anatomy are of."""
SHARES = frozenset({"prob", "probability", "probabilities", "probseg", "pve", "pveseg", "mixeltype", "tpm"})

OTHER_CONTRASTS = frozenset(
    {
        "t2star", "t2s", "t2starw", "t1map", "t2map", "swi", "swan", "adc", "dwi", "dti", "hardi", "asl", "cbf", "cbv",
        "perf", "perfusion", "pwi", "qsm", "bold", "tof", "mra", "angio", "localizer", "localiser", "scout", "survey",
    }
)  # fmt: skip
DERIVED = OTHER_CONTRASTS | {
    "map", "maps", "mapping", "rho", "hemo", "fl2d", "gre", "ffe", "dsc", "dce", "mip", "minip", "phase", "real",
    "imag", "imaginary", "subtraction", "field", "fieldmap", "jacobian", "inv1", "inv2", "mtr",
}  # fmt: skip
"""Of no image by weighting where they stand behind one, or just before it: "T2_map", "mask_T1"."""
ALSO_OF_T1 = frozenset({"gre", "ffe"})  # a T1 gradient echo is a T1, a T2 one is T2*

BEST = frozenset({"gold", "consensus"})
SPARE = frozenset({"bias", "parenchyma"})
"""Of copies that are taken only where the plain one is missing."""
FILLED = "filled"

GEOMETRY = frozenset(
    {
        "3d", "2d", "ax", "axial", "sag", "sagittal", "cor", "coronal", "tra", "trans", "transverse", "transversal",
        "space", "cube", "vista", "brainview",
    }
)  # fmt: skip
"""How an image lies, and what Siemens, GE and Philips call a 3D one; often before its weighting."""
SEQUENCE = frozenset(
    {
        "se", "tse", "fse", "ir", "fs", "fatsat", "fat", "sat", "blade", "propeller", "vfl", "fl3d", "mpr", "iso",
        "p2", "p3", "weighted", "tr", "images", "image", "scans", "scan", "volumes", "nii", "nifti",
    }
)  # fmt: skip
MANUAL = frozenset({"manual", "manually", "expert", "standard", "final"})
REFERENCE = frozenset({"to", "onto", "in", "on", "reg", "regto", "registered"})
"""Behind an image: what follows is what it was registered to."""

KNOWN = frozenset().union(
    WEIGHTINGS, T1_BY_SEQUENCE, CONTRAST, {POST, FILLED}, PROCESSING, AFTER_SOMETHING_ELSE, WITHOUT, LESION,
    SEGMENTATION, VAGUE, MASK, BRAIN, TISSUE, SHARES, DERIVED, SPARE, GEOMETRY, SEQUENCE, MANUAL, REFERENCE,
)  # fmt: skip

_SPELLINGS = tuple(
    (re.compile(pattern), f" {word} ")
    for pattern, word in (
        (r"dark[\W_]*fluid", "flair"),
        (r"(?<![^\W_])[es](?=t[12]w)", ""),  # Philips begins so: "sT1W_3D_TFE"
        (r"(?<![a-z])mp[\W_]*rage", "mprage"),
        (r"(?<![a-z])mp[\W_]*2[\W_]*rage", "mp2rage"),
        (r"ground[\W_]*truth", "groundtruth"),
        (r"t2[\W_]*star(?![a-z])", "t2star"),
        (r"t2\*", "t2star"),
        (r"\+[\W_]*c(?![a-z])|(?<![a-z])c\+", "contrast"),
        (r"kontrast[\W_]*mittel", "contrast"),
        (r"(?<![a-z])w[\W_]?/?[\W_]?o(?![a-z])", "without"),
    )
)
_TOKEN = re.compile(r"[^\W_]+")
_LONGEST = max(map(len, KNOWN))


def words_of(text: str) -> list[str]:
    """The words of a name in lower case, known ones taken apart where they stick together.

    Example:
        >>> words_of("P7_3DT1+C"), words_of("t2_tirm_tra_dark-fluid"), words_of("start2_flairy")
        (['p7', '3d', 't1', 'contrast'], ['t2', 'tirm', 'tra', 'flair'], ['start2', 'flairy'])
    """
    plain = text.lower()
    for pattern, word in _SPELLINGS:
        plain = pattern.sub(word, plain)
    return [part for token in _TOKEN.findall(plain) for part in _parts(token)]


@cache
def _parts(token: str) -> tuple[str, ...]:
    """The fewest known words and numbers that make up all of a token, or the token itself."""
    if token in KNOWN:
        return (token,)
    best: list[tuple[str, ...] | None] = [()]
    for end in range(1, len(token) + 1):
        ways = []
        for start in range(max(0, end - _LONGEST), end):
            before, part = best[start], token[start:end]
            # "t12" is no T1: a number never follows a word that ends in one.
            number = part.isdecimal() and not (before and before[-1][-1].isdecimal())
            if before is not None and (part in KNOWN or number):
                ways.append((*before, part))
        best.append(min(ways, key=len, default=None))
    found = best[-1]
    return found if found and any(part in KNOWN for part in found) else (token,)
