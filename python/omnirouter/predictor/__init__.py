"""Predictors: from the text of a prompt to expected accuracy and cost of every model."""

from omnirouter.predictor.base import Prediction, Predictor
from omnirouter.predictor.embedded import embedded_encoder
from omnirouter.predictor.encoder import Encoder
from omnirouter.predictor.folds import OutOfFold, fold_numbers, out_of_fold
from omnirouter.predictor.hybrid import HybridPredictor
from omnirouter.predictor.knn import KnnPredictor
from omnirouter.predictor.learned import LearnedPredictor
from omnirouter.predictor.network import NetworkPredictor

__all__ = [
    "Encoder",
    "HybridPredictor",
    "KnnPredictor",
    "LearnedPredictor",
    "NetworkPredictor",
    "OutOfFold",
    "Prediction",
    "Predictor",
    "embedded_encoder",
    "fold_numbers",
    "out_of_fold",
]
