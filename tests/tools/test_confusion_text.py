import numpy as np

from tools.confusion_text import WIDTH, confusion_lines

TWELVE = ("_silence_", "_unknown_", "yes", "no", "up", "down", "left", "right", "on", "off",
          "stop", "go")  # fmt: skip


def test_a_matrix_of_twelve_labels_fits_and_reads_back():
    confusion = np.random.default_rng(0).integers(0, 3, (12, 12)) + np.diag([400] * 12)
    head, *rows = confusion_lines(TWELVE, confusion)
    assert max(map(len, [head, *rows])) <= WIDTH
    assert head.split() == [
        "spoken", "silen", "unkno", "yes", "no", "up", "down", "left", "right", "on", "off",
        "stop", "go",
    ]  # fmt: skip
    for word, row, counts in zip(TWELVE, rows, confusion, strict=True):
        name, *cells = row.split()
        assert name == word.strip("_")
        assert [0 if cell == "." else int(cell) for cell in cells] == counts.tolist()
    columns = [head.index(name) + len(name) for name in ("yes", "go")]
    assert all(row[end - 1] != " " for row in rows for end in columns)


def test_counts_of_large_sets_are_not_cut():
    confusion = np.full((2, 2), 1_234_567)
    assert confusion_lines(("a", "b"), confusion)[1].split() == ["a", "1234567", "1234567"]


def test_of_too_many_labels_the_commonest_mistakes_are_told():
    words = [f"word{index}" for index in range(35)]
    confusion = np.diag([50] * 35)
    confusion[3, 7], confusion[20, 1] = 4, 9
    lines = confusion_lines(words, confusion)
    assert lines[0].startswith("the commonest mistakes (2 pairs")
    assert [line.split() for line in lines[1:]] == [
        ["word20", "heard", "as", "word1", "9", "of", "59"],
        ["word3", "heard", "as", "word7", "4", "of", "54"],
    ]
