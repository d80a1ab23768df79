"""The words of the task and of the data sets that carry it."""

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
"""The ten keywords of the paper (section 4), in the order of their labels."""

OTHER_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "bed", "bird", "cat", "dog", "happy", "house", "marvin", "sheila", "tree", "wow",
)  # fmt: skip
"""The twenty further words of Speech Commands v0.01 (Warden 2018, arXiv 1804.03209, section 5)."""

SAMPLE_RATE_HZ = 16_000
"""Of every clip, once read."""

CLIP_SAMPLES = SAMPLE_RATE_HZ
"""A clip is one second."""
