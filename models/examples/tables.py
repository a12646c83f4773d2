"""Makes tables to try models/net/fit_table.py on, and prints the accuracy of logistic regression.

    pip install scikit-learn==1.9.1
    python tables.py FOLDER

Each table gets NAME.npz, NAME-test.csv (the rows of X_test) and NAME-classes.txt (the class of each
of these rows). 70 % of the rows are for training.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def write(folder, name, X, y, features=None, labels=None):
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, random_state=0)
    if features is None:
        features = [f"x{index}" for index in range(X.shape[1])]
    labels = np.unique(y).astype(str) if labels is None else labels
    np.savez(folder / f"{name}.npz", X=X, y=y, X_test=X_test, y_test=y_test, features=features, labels=labels)
    np.savetxt(folder / f"{name}-test.csv", X_test, delimiter=",", fmt="%.17g", header=",".join(features), comments="")
    np.savetxt(folder / f"{name}-classes.txt", np.asarray(labels)[y_test], fmt="%s")
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(X, y)
    print(f"{name}: {len(X)} rows, {len(X_test)} test rows, {X.shape[1]} features; logistic regression {model.score(X_test, y_test):.4f}")


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    digits = datasets.load_digits()
    write(folder, "digits", digits.data, digits.target)
    for name, data in (("breast-cancer", datasets.load_breast_cancer()), ("wine", datasets.load_wine())):
        write(folder, name, data.data, data.target, [text.replace(" ", "-") for text in data.feature_names], data.target_names)
    made = datasets.make_classification(20_000, 20, n_informative=10, n_redundant=4, n_classes=5, n_clusters_per_class=3, random_state=0)
    write(folder, "made", *made)


if __name__ == "__main__":
    main()
