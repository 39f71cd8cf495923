"""Predictors: from the text of a prompt to expected accuracy and cost of every model."""

from omnirouter.predictor.base import Prediction, Predictor
from omnirouter.predictor.embedded import embedded_encoder
from omnirouter.predictor.encoder import Encoder
from omnirouter.predictor.knn import KnnPredictor

__all__ = ["Encoder", "KnnPredictor", "Prediction", "Predictor", "embedded_encoder"]
