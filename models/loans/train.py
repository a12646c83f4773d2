#!/usr/bin/env python3
"""Makes a table of loan applications and fits XGBoost's boosted trees to it.

    python3 -m venv .venv && .venv/bin/pip install -r models/loans/requirements.txt
    .venv/bin/python models/loans/train.py target/loans

Writes `model.json`, `train.csv` and `loans.json` into the folder; the last one has XGBoost's own
probabilities for a few rows, which the page's tests compare with. The table is drawn from a rule
with noise: it holds no data of real people, and the model is good for a demonstration only. Takes a
few seconds and gives the same files every time.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score
from xgboost import XGBClassifier

SEED = 20
ROWS = 24_000
TEST_ROWS = 6_000
# Rows of the page: what the form starts with, and its examples.
PAGE = [[2600, 9000, 36, 4, 1, 0], [4200, 6000, 24, 11, 0, 0], [1500, 12000, 24, 1, 3, 3]]
COLUMNS = ["income", "amount", "months", "years_in_job", "open_loans", "missed_payments"]


def applications(rng, rows):
    """Returns the columns of made-up applications, and whether each was repaid (0) or not (1)."""
    # Someone whom the table doesn't show, but whose income and punctuality it does.
    means = rng.normal(size=rows)
    income = np.clip(np.exp(7.95 + 0.38 * means + 0.25 * rng.normal(size=rows)), 800, 12_000).round(-1)
    months = rng.choice([6, 12, 18, 24, 36, 48, 60, 72, 84], size=rows, p=[0.06, 0.14, 0.08, 0.17, 0.2, 0.14, 0.12, 0.05, 0.04])
    amount = np.clip(income * np.exp(0.75 + 0.3 * np.log(months / 24) + 0.6 * rng.normal(size=rows)), 500, 50_000).round(-2)
    years = np.clip(rng.gamma(1.3, 4.2, size=rows), 0, 40).round()
    loans = np.minimum(rng.poisson(0.9, size=rows), 8)
    missed = np.minimum(rng.poisson(np.exp(-0.9 - 0.55 * means)), 12)

    burden = amount / months / income
    risk = -3.1 + 5.5 * np.minimum(burden, 0.5) + 0.75 * np.minimum(missed, 5) + 0.22 * loans - 0.09 * np.minimum(years, 12)
    # Those who are new in their job and owe much are worse off than both would say.
    risk += 0.9 * ((years < 2) & (loans >= 2)) + 0.8 * ((missed >= 2) & (burden > 0.15)) - 0.25 * means
    defaulted = rng.random(rows) < 1 / (1 + np.exp(-risk))
    return np.column_stack([income, amount, months, years, loans, missed]), defaulted.astype(int)


def write(path, x):
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([[f"{value:g}" for value in row] for row in x.tolist()])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder for the files; created if it doesn't exist")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)

    x, y = applications(np.random.default_rng(SEED), ROWS)
    train_x, test_x, train_y, test_y = x[:-TEST_ROWS], x[-TEST_ROWS:], y[:-TEST_ROWS], y[-TEST_ROWS:]
    # A few bins for each column keep the grid small that clients know.
    model = XGBClassifier(n_estimators=60, max_depth=3, learning_rate=0.15, min_child_weight=100, max_bin=12, tree_method="hist", n_jobs=1)
    model.fit(train_x, train_y)
    model.get_booster().feature_names = COLUMNS

    probability = model.predict_proba(test_x)[:, 1]
    print(f"{test_y.mean():.1%} of the test rows defaulted")
    print(f"test rows: AUC {roc_auc_score(test_y, probability):.3f}, {np.mean((probability > 0.5) == test_y):.2%} right")
    model.get_booster().save_model(folder / "model.json")
    write(folder / "train.csv", train_x)
    rows = np.concatenate([PAGE, test_x[:9]])
    pairs = zip(rows.tolist(), model.predict_proba(rows)[:, 1], strict=True)
    lines = [json.dumps({"row": row, "probability": float(value)}) for row, value in pairs]
    (folder / "loans.json").write_text("[\n  " + ",\n  ".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
