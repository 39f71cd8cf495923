"""Pickle the frames of the tests as the pandas of the environment that runs this does: python make_pickles.py NAME."""

import pickle
import sys
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    import pandas as pd

    folder = Path(__file__).parent
    texts = dict.fromkeys(("sample_id", "prompt", "eval_name", "lab/small|model_response"), object)
    wide = pd.read_csv(folder / "routerbench.csv", index_col=0, dtype=texts)
    wide["large"] = np.array([True, 0.5, None], dtype=object)  # scores are objects there
    for protocol in (2, 5):
        path = folder / f"routerbench_{sys.argv[1]}_p{protocol}.pkl"
        path.write_bytes(pickle.dumps(wide[wide.index > 0], protocol=protocol))
