"""Fits what turns a reader's scores into decisions, on questions that it was not trained on.

The logistic of Platt (1999) from score to confidence; the confidence below which an answer is refused; and the
probability from which a yes or a no is said. Pure arithmetic on scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm.reader import Calibration

ANSWERED_SHARE = 0.92  # of answerable questions that must still be answered at the threshold
POLARITY_PRECISION = 0.9  # of the yes and no that are said


@dataclass(frozen=True)
class Scored:
    """A held-out question: the best score over its passages, and whether one of them answers it."""

    score: float
    answerable: bool


@dataclass(frozen=True)
class PolarityGuess:
    """A held-out yes/no question: the larger of the probabilities of yes and no, and whether that one is right."""

    probability: float
    right: bool


def fit_logistic(scored: Sequence[Scored], steps: int = 50) -> tuple[float, float]:
    """(scale, offset) of the maximum-likelihood sigmoid, by Newton's method with a small ridge.

    Raises ValueError when only one of the two classes is there.
    """
    x = np.array([[one.score, 1.0] for one in scored])
    y = np.array([float(one.answerable) for one in scored])
    if not 0 < y.sum() < len(y):
        raise ValueError("calibration needs answerable and unanswerable questions")
    weights: NDArray[np.float64] = np.array([0.5, 0.0])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (p - y) + 1e-3 * weights
        curvature = (x * (p * (1 - p))[:, None]).T @ x + 1e-3 * np.eye(2)
        weights = weights - np.linalg.solve(curvature, gradient)
    return float(weights[0]), float(weights[1])


def choose_threshold(confidences: Sequence[float], answerable: Sequence[bool]) -> float:
    """The confidence that best separates the two (Youden's index) among those that answer enough of the answerable."""
    pairs = sorted(zip(confidences, answerable, strict=True))
    positives = sum(answerable)
    negatives = len(pairs) - positives
    best, chosen = -1.0, 0.0
    refused_positives = refused_negatives = 0
    for confidence, is_answerable in pairs:
        if 1 - refused_positives / max(1, positives) >= ANSWERED_SHARE:
            index = refused_negatives / max(1, negatives) - refused_positives / max(1, positives)
            if index > best:
                best, chosen = index, confidence
        refused_positives += is_answerable
        refused_negatives += not is_answerable
    return chosen


def choose_polarity(guesses: Sequence[PolarityGuess]) -> float:
    """The lowest probability from which the guesses above it are right often enough; 1 when none is."""
    ordered = sorted(guesses, key=lambda g: -g.probability)
    right, chosen = 0, 1.0
    for count, guess in enumerate(ordered, 1):
        right += guess.right
        tied = count < len(ordered) and ordered[count].probability == guess.probability
        if not tied and count >= min(10, len(ordered)) and right / count >= POLARITY_PRECISION:
            chosen = guess.probability
    return max(0.5, chosen)


def calibrate(scored: Sequence[Scored], guesses: Sequence[PolarityGuess]) -> Calibration:
    """All four numbers from held-out questions."""
    scale, offset = fit_logistic(scored)
    confidences = [1 / (1 + math.exp(-max(-60.0, min(60.0, scale * one.score + offset)))) for one in scored]
    threshold = choose_threshold(confidences, [one.answerable for one in scored])
    return Calibration(scale, offset, threshold, choose_polarity(guesses))
