"""NIST's linear sets (StRD): readings, certified answers, and the same least squares in rational arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import statsmodels.api as sm
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# https://www.itl.nist.gov/div898/strd/lls/data/LINKS/DATA/: y and x of each reading
NORRIS = """
0.1 0.2    338.8 337.4  118.1 118.2  888.0 884.6  9.2 10.1     228.1 226.5  668.5 666.3  998.5 996.3  449.1 448.6
778.9 777.0  559.2 558.2  0.3 0.4    0.1 0.6      778.1 775.5  668.8 666.9  339.3 338.0  448.9 447.5  10.8 11.6
557.7 556.0  228.3 228.1  998.0 995.8  888.8 887.6  119.6 120.2  0.3 0.3    0.6 0.3      557.6 556.8  339.3 339.1
888.0 887.2  998.5 999.0  778.9 779.0  10.2 11.1  117.6 118.3  228.9 229.2  668.4 669.1  449.2 448.9  0.2 0.5
"""
FILIP = """
0.8116 -6.860120914 0.9072 -4.324130045 0.9052 -4.358625055 0.9039 -4.358426747 0.8053 -6.955852379
0.8377 -6.661145254 0.8667 -6.355462942 0.8809 -6.118102026 0.7975 -7.115148017 0.8162 -6.815308569
0.8515 -6.519993057 0.8766 -6.204119983 0.8885 -5.853871964 0.8859 -6.109523091 0.8959 -5.79832982
0.8913 -5.482672118 0.8959 -5.171791386 0.8971 -4.851705903 0.9021 -4.517126416 0.909 -4.143573228
0.9139 -3.709075441 0.9199 -3.499489089 0.8692 -6.300769497 0.8872 -5.953504836 0.89 -5.642065153
0.891 -5.031376979 0.8977 -4.680685696 0.9035 -4.329846955 0.9078 -3.928486195 0.7675 -8.56735134
0.7705 -8.363211311 0.7713 -8.107682739 0.7736 -7.823908741 0.7775 -7.522878745 0.7841 -7.218819279
0.7971 -6.920818754 0.8329 -6.628932138 0.8641 -6.323946875 0.8804 -5.991399828 0.7668 -8.781464495
0.7633 -8.663140179 0.7678 -8.473531488 0.7697 -8.247337057 0.77 -7.971428747 0.7749 -7.676129393
0.7796 -7.352812702 0.7897 -7.072065318 0.8131 -6.774174009 0.8498 -6.478861916 0.8741 -6.159517513
0.8061 -6.835647144 0.846 -6.53165267 0.8751 -6.224098421 0.8856 -5.910094889 0.8919 -5.598599459
0.8934 -5.290645224 0.894 -4.974284616 0.8957 -4.64454848 0.9047 -4.290560426 0.9129 -3.885055584
0.9209 -3.408378962 0.9219 -3.13200249 0.7739 -8.726767166 0.7681 -8.66695597 0.7665 -8.511026475
0.7703 -8.165388579 0.7702 -7.886056648 0.7761 -7.588043762 0.7809 -7.283412422 0.7961 -6.995678626
0.8253 -6.691862621 0.8602 -6.392544977 0.8809 -6.067374056 0.8301 -6.684029655 0.8664 -6.378719832
0.8834 -6.065855188 0.8898 -5.752272167 0.8964 -5.132414673 0.8963 -4.811352704 0.9074 -4.098269308
0.9119 -3.66174277 0.9228 -3.2644011
"""
PONTIUS = """
.11019 .21956 .32949 .43899 .54803 .65694 .76562 .87487 .98292 1.09146 1.20001 1.30822 1.41599 1.52399 1.63194
1.73947 1.84646 1.95392 2.06128 2.16844 .11052 .22018 .32939 .43886 .54798 .65739 .76596 .87474 .98300 1.09150
1.20004 1.30818 1.41613 1.52408 1.63159 1.73965 1.84696 1.95445 2.06177 2.16829
"""  # of loads from 150 000 to 3 000 000 by 150 000, twice


@dataclass(frozen=True)
class Set:
    """One of NIST's sets.

    Attributes:
        columns: The features, each of shape (N,), of powers of x but for Longley's.
        reference: The response.
        intercept: Whether the model has one.
        coefficients: Certified, b first.
        deviations: Their certified standard deviations.
        s: The certified residual standard deviation.
    """

    columns: list[FloatArray]
    reference: FloatArray
    coefficients: list[float]
    deviations: list[float]
    s: float
    intercept: bool = True


def _pairs(text: str) -> tuple[FloatArray, FloatArray]:
    values = np.array(text.split(), dtype=np.float64).reshape(-1, 2)
    return values[:, 1].copy(), values[:, 0].copy()


def _powers(x: FloatArray, degree: int) -> list[FloatArray]:
    return [x**j for j in range(1, degree + 1)]


def _wampler(scale: int) -> FloatArray:
    x = np.arange(21.0)
    half = [759, -2048, 2048, -2048, 2523, -2048, 2048, -2048, 1838, -2048]
    total = np.sum([np.ones(21), *_powers(x, 5)], axis=0)
    noisy: FloatArray = total + scale * np.array([*half, 2048, *half[::-1]])
    return noisy


WAMPLER_SD = [
    2152.32624678170, 2363.55173469681, 779.343524331583, 101.475507550350, 5.64566512170752, 0.112324854679312,
]  # fmt: skip


def sets() -> dict[str, Set]:
    """Returns the eleven sets by name."""
    x, y = _pairs(NORRIS)
    found = {
        "Norris": Set(
            [x],
            y,
            [-0.262323073774029, 1.00211681802045],
            [0.232818234301152, 0.429796848199937e-03],
            0.884796396144373,
        )
    }
    x, y = np.tile(np.arange(1, 21) * 150_000.0, 2), np.array(PONTIUS.split(), dtype=np.float64)
    found["Pontius"] = Set(
        _powers(x, 2),
        y,
        [0.673565789473684e-03, 0.732059160401003e-06, -0.316081871345029e-14],
        [0.107938612033077e-03, 0.157817399981659e-09, 0.486652849992036e-16],
        0.205177424076185e-03,
    )
    x, y = _pairs(FILIP)
    found["Filip"] = Set(
        _powers(x, 10),
        y,
        [
            -1467.48961422980, -2772.17959193342, -2316.37108160893, -1127.97394098372, -354.478233703349,
            -75.1242017393757, -10.8753180355343, -1.06221498588947, -0.670191154593408e-01, -0.246781078275479e-02,
            -0.402962525080404e-04,
        ],
        [
            298.084530995537, 559.779865474950, 466.477572127796, 227.204274477751, 71.6478660875927, 15.2897178747400,
            2.23691159816033, 0.221624321934227, 0.142363763154724e-01, 0.535617408889821e-03, 0.896632837373868e-05,
        ],
        0.334801051324544e-02,
    )  # fmt: skip
    longley = sm.datasets.longley.load_pandas()
    found["Longley"] = Set(
        [column.copy() for column in longley.exog.to_numpy(dtype=np.float64).T],
        longley.endog.to_numpy(dtype=np.float64),
        [
            -3482258.63459582, 15.0618722713733, -0.358191792925910e-01, -2.02022980381683, -1.03322686717359,
            -0.511041056535807e-01, 1829.15146461355,
        ],
        [
            890420.383607373, 84.9149257747669, 0.334910077722432e-01, 0.488399681651699, 0.214274163161675,
            0.226073200069370, 455.478499142212,
        ],
        304.854073561965,
    )  # fmt: skip
    x = np.arange(21.0)
    tenths = [float(sum(Fraction(int(v)) ** j / 10**j for j in range(6))) for v in x]
    found["Wampler1"] = Set(_powers(x, 5), np.ones(21) + sum(_powers(x, 5)), [1.0] * 6, [0.0] * 6, 0.0)
    found["Wampler2"] = Set(_powers(x, 5), np.array(tenths), [10.0**-j for j in range(6)], [0.0] * 6, 0.0)
    for number, scale in ((3, 1), (4, 100), (5, 10_000)):
        deviations = [scale * sd for sd in WAMPLER_SD]
        found[f"Wampler{number}"] = Set(_powers(x, 5), _wampler(scale), [1.0] * 6, deviations, scale * 2360.14502379268)
    x = np.arange(60.0, 71.0)
    noint1 = ([2.07438016528926], [0.0165289256198347], 3.56753034006338)
    noint2 = ([0.727272727272727], [0.0420827318078432], 0.369274472937998)
    found["NoInt1"] = Set([x], np.arange(130.0, 141.0), *noint1, intercept=False)
    found["NoInt2"] = Set([np.arange(4.0, 7.0)], np.array([3.0, 4.0, 4.0]), *noint2, intercept=False)
    return found


def digits(found: Sequence[float] | FloatArray, certified: Sequence[float]) -> float:
    """Returns to how many digits the worst number agrees."""
    a, b = np.asarray(found, dtype=np.float64), np.asarray(certified, dtype=np.float64)
    return float(-np.log10(np.max(np.abs(a - b) / np.abs(b)) + 1e-16))
