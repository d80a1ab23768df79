import pytest

from kws.number_format import bfloat16_pays


@pytest.mark.parametrize(
    ("flags", "pays"),
    [
        ("fpu avx2 avx512f avx512_bf16", True),
        ("fpu amx_tile amx_bf16", True),
        ("fpu avx2 avx512f", False),
        ("fpu not_avx512_bf16", False),
    ],
)
def test_bfloat16_pays_where_the_processor_computes_with_it(tmp_path, flags, pays):
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor : 0\nflags\t\t: {flags}\nbugs\t\t: amx_bf16\n")
    assert bfloat16_pays("cpu", info) is pays
    assert not bfloat16_pays("cuda", info)


def test_where_nothing_is_told_of_the_processor_it_does_not(tmp_path):
    assert not bfloat16_pays("cpu", tmp_path / "none")
