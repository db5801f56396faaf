from pathlib import Path

import pytest

from kb.precision import PrecisionMemory, PrecisionPolicy, Processor, candidates, read_processor

AVX2 = Processor("Old", frozenset({"avx2", "fma"}), 2)
BF16 = Processor("New", frozenset({"avx2", "fma", "avx512f", "avx512_bf16"}), 2)


def policy(home: Path, processor: Processor = BF16, wish: str = "auto", threads: int = 2) -> PrecisionPolicy:
    return PrecisionPolicy(wish, processor, threads, PrecisionMemory(home))


def never(precision: str) -> float:
    raise AssertionError(f"{precision} was timed although the answer was known")


def test_a_processor_without_bf16_units_never_times_bf16(tmp_path):
    assert candidates("writer", AVX2) == ("fp32", "int8")
    choice = policy(tmp_path, AVX2).choose("reader", "m1", never)
    assert (choice.precision, choice.reason) == ("fp32", "this processor has no units for a shorter one")


def test_the_encoder_stays_in_fp32_so_that_vectors_do_not_depend_on_the_machine(tmp_path):
    assert candidates("encoder", BF16) == ("fp32",)
    assert policy(tmp_path).choose("encoder", "m1", never).precision == "fp32"


def test_the_fastest_format_is_taken(tmp_path):
    assert policy(tmp_path).choose("reader", "m1", {"fp32": 90.0, "bf16": 40.0}.__getitem__).precision == "bf16"
    assert policy(tmp_path).choose("reader", "m2", {"fp32": 40.0, "bf16": 90.0}.__getitem__).precision == "fp32"


def test_a_choice_is_measured_once_and_then_remembered(tmp_path):
    first = policy(tmp_path).choose("reader", "m1", {"fp32": 90.0, "bf16": 40.0}.__getitem__)
    assert policy(tmp_path).choose("reader", "m1", never) == first


@pytest.mark.parametrize(
    ("processor", "model", "threads"),
    [(Processor("Other", BF16.features, 2), "m1", 2), (BF16, "m2", 2), (BF16, "m1", 8)],
    ids=["processor", "model", "threads"],
)
def test_another_processor_model_or_thread_count_is_measured_anew(tmp_path, processor, model, threads):
    policy(tmp_path).choose("reader", "m1", {"fp32": 90.0, "bf16": 40.0}.__getitem__)
    again = policy(tmp_path, processor, threads=threads).choose("reader", model, {"fp32": 1.0, "bf16": 2.0}.__getitem__)
    assert again.precision == "fp32"


@pytest.mark.parametrize("content", ["", "{", '{"format_version": 0}', '{"format_version": 1, "entries": 3}', "[1]"])
def test_a_damaged_memory_is_measured_over(tmp_path, content):
    (tmp_path / "precision.json").write_text(content)
    timed = policy(tmp_path).choose("reader", "m1", {"fp32": 2.0, "bf16": 1.0}.__getitem__)
    assert policy(tmp_path).choose("reader", "m1", never) == timed


def test_a_set_format_is_taken_where_the_network_has_it(tmp_path):
    assert policy(tmp_path, wish="bf16").choose("reader", "m1", never).precision == "bf16"
    assert policy(tmp_path, wish="bf16").choose("encoder", "m1", never).precision == "fp32"


def test_cpuinfo_of_intel_and_arm_is_understood(tmp_path):
    intel = tmp_path / "intel"
    intel.write_text("processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu avx2 avx512_bf16\n\nprocessor\t: 1\n")
    arm = tmp_path / "arm"
    arm.write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n")
    assert read_processor(intel).reported == ("avx2", "avx512_bf16")
    assert read_processor(arm).reported == ("asimd", "bf16")
    assert read_processor(tmp_path / "none").features == frozenset()
